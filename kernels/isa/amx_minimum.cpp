// Table `amx`: formats with a minimum per block.

#include "kernels/isa/amx_parts.hpp"

namespace moe::inline MOE_ABI::kernels {

void fill_amx_minimum(KernelTable& t) noexcept { fill_amx<Amx, BlockKind::minimum>(t); }

}  // namespace moe::inline MOE_ABI::kernels

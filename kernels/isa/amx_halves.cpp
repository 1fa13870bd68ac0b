// Table `amx`: formats with a scale per half of a block.

#include "kernels/isa/amx_parts.hpp"

namespace moe::inline MOE_ABI::kernels {

void fill_amx_halves(KernelTable& t) noexcept {
  fill_amx<Amx, BlockKind::halves>(t);
  fill_amx<Amx, BlockKind::halves_min>(t);
}

}  // namespace moe::inline MOE_ABI::kernels

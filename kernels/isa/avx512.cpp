#include "kernels/make_table.hpp"

namespace moe::inline MOE_ABI::kernels {

template const KernelTable& table_for<Avx512>() noexcept;

}  // namespace moe::inline MOE_ABI::kernels

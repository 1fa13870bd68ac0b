#include "kernels/make_table.hpp"

namespace moe::inline MOE_ABI::kernels {

template const KernelTable& table_for<Avx2>() noexcept;

}  // namespace moe::inline MOE_ABI::kernels

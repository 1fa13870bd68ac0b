#include "kernels/make_table.hpp"

namespace moe::inline MOE_ABI::kernels {

template const KernelTable& table_for<Avx512Vnni>() noexcept;

}  // namespace moe::inline MOE_ABI::kernels

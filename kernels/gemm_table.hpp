#pragma once
// The matrix products' part of a table (kernels/make_table.hpp adds the float kernels).

#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void fill_gemm(KernelTable&) noexcept {}

}  // namespace moe::inline MOE_ABI::kernels

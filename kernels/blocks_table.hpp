#pragma once
// The float kernels' part of a table (kernels/make_table.hpp adds the gemms).

#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void fill_blocks(KernelTable&) noexcept {}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// Builds the table of one instruction set. Included only by isa/<isa>.cpp, so that no other unit can build a table with
// the wrong flags.

#include "kernels/blocks_table.hpp"
#include "kernels/gemm_table.hpp"
#include "kernels/simd.hpp"
#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
KernelTable make_table() noexcept {
  KernelTable t{};
  t.isa = Arch::kName;
  fill_gemm<Arch>(t);
  fill_blocks<Arch>(t);
  return t;
}

template <class Arch>
const KernelTable& table_for() noexcept {
  static const KernelTable table = make_table<Arch>();
  return table;
}

}  // namespace moe::inline MOE_ABI::kernels

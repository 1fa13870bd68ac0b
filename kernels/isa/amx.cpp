// The table of avx512vnni, except for integer matrix products, which use the tile registers.

#include "kernels/isa/amx_parts.hpp"

namespace moe::inline MOE_ABI::kernels {
namespace {

KernelTable make_amx_table() noexcept {
  KernelTable t = table_for<Avx512Vnni>();
  t.isa = Amx::kName;
  fill_amx<Amx, BlockKind::plain>(t);
  fill_amx_scaled<Amx>(t);
  fill_amx_minimum(t);
  fill_amx_halves(t);
  return t;
}

}  // namespace

template <>
const KernelTable& table_for<Amx>() noexcept {
  static const KernelTable table = make_amx_table();
  return table;
}

}  // namespace moe::inline MOE_ABI::kernels

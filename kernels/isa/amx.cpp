// The table of avx512vnni with integer matrix products on the tile registers. Everything else is that table's own code.

#include <iterator>
#include <utility>

#include "kernels/gemm_q8_amx.hpp"

namespace moe::inline MOE_ABI::kernels {
namespace {

template <class Arch, Format kFormat>
void fill_format(KernelTable& t) noexcept {
  constexpr auto kIndex = static_cast<std::size_t>(kFormat);
  if constexpr (reference::is_integer_format(kFormat)) {
    t.gemm_q8[kIndex] = gemm_q8_amx<Arch, kFormat>;
    t.q8_tile_tokens[kIndex] = kAmxTokens;
  }
}

template <class Arch, std::size_t... kIndices>
KernelTable make_amx_table(std::index_sequence<kIndices...>) noexcept {
  KernelTable t = table_for<Avx512Vnni>();
  t.isa = Arch::kName;
  (fill_format<Arch, kFormats[kIndices].format>(t), ...);
  return t;
}

}  // namespace

template <>
const KernelTable& table_for<Amx>() noexcept {
  static const KernelTable table = make_amx_table<Amx>(std::make_index_sequence<std::size(kFormats)>{});
  return table;
}

}  // namespace moe::inline MOE_ABI::kernels

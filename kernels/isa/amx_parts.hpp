#pragma once
// The formats of the table `amx`, in three units, because a single one compiles for a minute.

#include <iterator>
#include <utility>

#include "kernels/gemm_q8_amx.hpp"

namespace moe::inline MOE_ABI::kernels {

void fill_amx_minimum(KernelTable& t) noexcept;  // amx_minimum.cpp
void fill_amx_halves(KernelTable& t) noexcept;   // amx_halves.cpp

template <class Arch, BlockKind kKind, Format kFormat>
void fill_amx_format(KernelTable& t) noexcept {
  constexpr auto kIndex = static_cast<std::size_t>(kFormat);
  if constexpr (reference::is_integer_format(kFormat)) {
    if constexpr (reference::block_form(kFormat).kind == kKind) {
      t.gemm_q8[kIndex] = gemm_q8_amx<Arch, kFormat>;
      t.q8_tile_tokens[kIndex] = kAmxTokens;
    }
  }
}

template <class Arch, BlockKind kKind, std::size_t... kIndices>
void fill_amx_formats(KernelTable& t, std::index_sequence<kIndices...>) noexcept {
  (fill_amx_format<Arch, kKind, kFormats[kIndices].format>(t), ...);
}

/// The products of all formats whose blocks are of this kind.
template <class Arch, BlockKind kKind>
void fill_amx(KernelTable& t) noexcept {
  fill_amx_formats<Arch, kKind>(t, std::make_index_sequence<std::size(kFormats)>{});
}

/// Scaled formats whose integers fit signed bytes: those of int8 with zero points do not.
template <class Arch>
void fill_amx_scaled(KernelTable& t) noexcept {
  fill_amx_format<Arch, BlockKind::e4m3, Format::e4m3>(t);
  fill_amx_format<Arch, BlockKind::groups, Format::int4>(t);
}

}  // namespace moe::inline MOE_ABI::kernels

#pragma once
// The matrix products' part of a table (kernels/make_table.hpp adds the float kernels). Formats come from the one list
// in moe/formats.hpp.

#include <iterator>
#include <type_traits>
#include <utility>

#include "kernels/gemm_f32.hpp"
#include "kernels/gemm_q8.hpp"
#include "kernels/gemm_scalar.hpp"
#include "kernels/gemm_unpacked.hpp"
#include "kernels/quantize_activations.hpp"
#include "kernels/table.hpp"
#include "moe/detail/reference/quantize_activations.hpp"

namespace moe::inline MOE_ABI::kernels {

// aarch64 uses the scalar products so far: the same bits, but slow.
template <class Arch>
inline constexpr bool kScalarGemm = requires {
  typename Vector<Arch>::I;
}
== false;

template <class Arch, Format kFormat>
MOE_FORCE_INLINE void fill_gemm_format(KernelTable& t) noexcept {
  constexpr auto kIndex = static_cast<std::size_t>(kFormat);
  if constexpr (kScalarGemm<Arch>) {
    if constexpr (reference::is_integer_format(kFormat)) {
      t.gemm_q8[kIndex] = gemm_q8_scalar<Arch, kFormat>;
      t.fill_q8[kIndex] = fill_q8_scalar<Arch>;
      t.q8_tile_tokens[kIndex] = 1;
    }
    t.gemm_f32[kIndex] = gemm_f32_scalar<Arch, kFormat>;
  } else {
    if constexpr (reference::is_integer_format(kFormat)) {
      if constexpr (kFormat == Format::e4m3)
        t.gemm_q8[kIndex] = e4m3_product<Arch>();
      else if constexpr (kFormat == Format::int4)
        t.gemm_q8[kIndex] = gemm_int4<Arch>;
      else
        t.gemm_q8[kIndex] = gemm_q8<Arch, kFormat>;
      t.fill_q8[kIndex] = fill_q8<Arch, kFormat>;
      t.q8_tile_tokens[kIndex] = most_tile_tokens<Arch, kFormat>();
    }
    t.gemm_f32[kIndex] = gemm_f32<Arch, kFormat>;
  }
}

template <class Arch, std::size_t... kIndices>
MOE_FORCE_INLINE void fill_gemm_formats(KernelTable& t, std::index_sequence<kIndices...>) noexcept {
  (fill_gemm_format<Arch, kFormats[kIndices].format>(t), ...);
}

template <class Arch>
void fill_gemm(KernelTable& t) noexcept {
  fill_gemm_formats<Arch>(t, std::make_index_sequence<std::size(kFormats)>{});
  fill_gemm_format<Arch, Format::e4m3>(t);
  fill_gemm_format<Arch, Format::int4>(t);
  fill_gemm_format<Arch, Format::int8>(t);
  if constexpr (kScalarGemm<Arch>) {
    t.quantize_q8 = reference::quantize_q8;
  } else {
    t.quantize_q8 = quantize_q8<Arch>;
  }
}

}  // namespace moe::inline MOE_ABI::kernels

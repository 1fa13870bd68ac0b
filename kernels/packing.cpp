// Blocks of Q4_K, Q6_K, Q4_0 and the other integer formats become panels here: pack_panel(Format::q4_k, ..) reads each
// block by reference::read_weight_block() and writes its scales and codes by pack_block(). Layout: panel_layout.hpp.
#include "kernels/packing.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <utility>

#include "kernels/panel_layout.hpp"
#include "moe/decode.hpp"

namespace moe::inline MOE_ABI::kernels {

namespace {

using reference::is_integer_format;
using reference::WeightBlock;

constexpr bool is_float_format(Format format) noexcept {
  return format == Format::f32 || format == Format::f16 || format == Format::bf16;
}

void store_u16(std::byte* p, std::uint16_t v) noexcept { std::memcpy(p, &v, 2); }
std::uint16_t read_u16(const std::byte* p) noexcept {
  std::uint16_t v = 0;
  std::memcpy(&v, p, 2);
  return v;
}
/// Bytes 4 i .. 4 i + 3 as one number, the first byte lowest.
std::uint32_t word(const std::uint8_t* bytes, int i) noexcept {
  std::uint32_t v = 0;
  std::memcpy(&v, bytes + 4 * i, 4);
  return v;
}
void store_word(std::byte* p, std::uint32_t v) noexcept { std::memcpy(p, &v, 4); }

// 2^(e - 128) as bf16.
std::uint16_t mxfp4_scale_bits(std::uint16_t e) noexcept {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(quant::mxfp4_scale(e)) >> 16);
}
std::uint16_t mxfp4_exponent(std::uint16_t bits) noexcept {
  if (bits < 0x80u) return bits >= 0x40u ? 1 : 0;
  return static_cast<std::uint16_t>((bits >> 7) + 1);
}

// Four codes at a time in a 32-bit word. Every code is masked first, so no bits cross from one byte to the next.
MOE_FORCE_INLINE void pack_codes(const PanelLayout& l, const WeightBlock& w, int row, std::byte* codes) noexcept {
  std::byte* out = codes + 4 * row;
  if (l.byte_codes)
    for (int g = 0; g < 8; ++g) store_word(out + 64 * g, word(w.codes, g));
  if (l.nibbles)
    for (int g = 0; g < 4; ++g)
      store_word(out + 64 * g, (word(w.codes, g) & 0x0f0f0f0fu) | (word(w.codes, g + 4) & 0x0f0f0f0fu) << 4);
  if (l.pairs)
    for (int v = 0; v < 2; ++v) {
      std::uint32_t bits = 0;
      for (int j = 0; j < 4; ++j) bits |= (word(w.codes, 4 * v + j) >> l.pair_shift & 0x03030303u) << (2 * j);
      store_word(out + l.pairs_at + 64 * v, bits);
    }
  if (l.single) {
    std::uint32_t bits = 0;
    for (int g = 0; g < 8; ++g) bits |= (word(w.codes, g) >> l.single_shift & 0x01010101u) << g;
    store_word(out + l.single_at, bits);
  }
}

void unpack_codes(const PanelLayout& l, const std::byte* codes, int row, WeightBlock& w) noexcept {
  const auto* in = reinterpret_cast<const std::uint8_t*>(codes) + 4 * row;
  for (int g = 0; g < 8; ++g) {
    std::uint32_t c = 0;
    if (l.byte_codes) c = word(in + 64 * g, 0);
    if (l.nibbles) c = word(in + 64 * (g % 4), 0) >> (4 * (g / 4)) & 0x0f0f0f0fu;
    if (l.pairs) c |= (word(in + l.pairs_at + 64 * (g / 4), 0) >> (2 * (g % 4)) & 0x03030303u) << l.pair_shift;
    if (l.single) c |= (word(in + l.single_at, 0) >> g & 0x01010101u) << l.single_shift;
    std::memcpy(w.codes + 4 * g, &c, 4);
  }
}

MOE_FORCE_INLINE void pack_block(Format format, const PanelLayout& l, const WeightBlock& w, int row, std::int64_t b,
                                 std::byte* panel) noexcept {
  if (b % l.super_blocks == 0) {
    std::byte* header = panel + l.header_of(b);
    store_u16(header + 2 * row, format == Format::mxfp4 ? mxfp4_scale_bits(w.d) : w.d);
    if (l.has_min) store_u16(header + l.m_at + 2 * row, w.m);
  }
  if (l.has_scales) {
    auto* scales = reinterpret_cast<std::uint8_t*>(panel + l.scales_of(b));
    const bool halves = reference::block_form(format).kind == BlockKind::halves;
    const bool nibbles = format == Format::q2_k;
    for (int h = 0; h < 2; ++h) {
      int byte = halves ? w.sc[h] : h == 0 ? w.sc[0] : w.mn[0];
      if (nibbles) byte = w.sc[h] | w.mn[h] << 4;
      scales[kPanelRows * h + row] = static_cast<std::uint8_t>(byte);
    }
  }
  pack_codes(l, w, row, panel + l.codes_of(b));
}

/// Q4_K blocks (and every other integer format's) to a panel. One function per format, with layout and decoding as
/// constants: two to three times as fast.
template <Format kFormat>
void pack_integer(std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel) noexcept {
  constexpr PanelLayout l = panel_layout(kFormat);
  // Rows in the inner loop: the panel is written in order.
  for (std::int64_t b = 0; b < k / kBlock; ++b)
    for (int r = 0; r < kPanelRows; ++r)
      if (rows[r] != nullptr) pack_block(kFormat, l, reference::read_weight_block(kFormat, rows[r], b), r, b, panel);
}

template <std::size_t... kIndices>
void pack_integer(Format format, std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel,
                  std::index_sequence<kIndices...>) noexcept {
  const auto one = [&]<Format kFormat>() {
    if constexpr (is_integer_format(kFormat))
      if (format == kFormat) pack_integer<kFormat>(k, rows, panel);
  };
  (one.template operator()<kFormats[kIndices].format>(), ...);
}

/// Rows of values of kBytes to [k][16], with zeros for missing rows.
template <int kBytes>
void transpose(std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel) noexcept {
  static constexpr std::byte kZero[kBytes] = {};
  for (std::int64_t i = 0; i < k; ++i)
    for (int r = 0; r < kPanelRows; ++r)
      std::memcpy(panel + (i * kPanelRows + r) * kBytes, rows[r] != nullptr ? rows[r] + i * kBytes : kZero, kBytes);
}

/// Codes of e4m3 times 2^(18 - width).
struct E4m3Shifted {
  std::uint8_t of[19][256];  // [width]
};
constexpr E4m3Shifted e4m3_shifted() noexcept {
  E4m3Shifted t{};
  for (unsigned width = 1; width <= 18; ++width)
    for (unsigned code = 0; code < 256; ++code) {
      const std::uint32_t steps = quant::e4m3_steps(code & 0x7fu) << (18 - width);
      const unsigned bits = static_cast<unsigned>(std::bit_width(steps));
      const std::uint32_t magnitude = bits <= 3 ? steps : bits > 18 ? 0 : (bits - 3) * 8 + (steps >> (bits - 4)) % 8;
      t.of[width][code] = static_cast<std::uint8_t>((code & 0x80u) | magnitude);
    }
  return t;
}
constexpr E4m3Shifted kE4m3Shifted = e4m3_shifted();

/// Block `b` of row `r`: header and codes.
void pack_e4m3_block(const std::byte* row, std::int64_t k, std::int64_t b, int r, std::byte* panel) noexcept {
  constexpr PanelLayout l = panel_layout(Format::e4m3);
  const int count = static_cast<int>(k - kBlock * b < kBlock ? k - kBlock * b : kBlock);
  std::byte codes[kBlock] = {};
  std::memcpy(codes, row + kBlock * b, static_cast<std::size_t>(count));
  const int width = reference::e4m3_width(codes);
  std::uint8_t shifted[kBlock];
  for (int i = 0; i < kBlock; ++i) shifted[i] = kE4m3Shifted.of[width][std::to_integer<unsigned>(codes[i])];
  panel[l.header_of(b) + r] = static_cast<std::byte>(kE4m3Header + width);
  for (int g = 0; 4 * g < count; ++g) store_word(panel + l.codes_of(b) + 64 * g + 4 * r, word(shifted, g));
}

/// Codes to vectors; scales and zeros behind them.
void pack_scaled(Format format, std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel,
                 const Groups& groups) noexcept {
  const ScaledLayout scaled(format, k, groups);
  if (rows[kPanelRows - 1] == nullptr) std::memset(panel, 0, static_cast<std::size_t>(scaled.bytes));
  const PanelLayout l = panel_layout(format);
  const auto size = static_cast<std::size_t>(scaled.scale_bytes);
  for (std::int64_t b = 0; b < (k + kBlock - 1) / kBlock; ++b)  // rows in the inner loop: the panel is written in order
    for (int r = 0; r < kPanelRows; ++r) {
      if (rows[r] == nullptr) continue;
      if (format == Format::e4m3) {
        pack_e4m3_block(rows[r], k, b, r, panel);
        continue;
      }
      const reference::ScaledRow row(format, groups, rows[r], k);
      WeightBlock w{};
      for (int i = 0; i < kBlock; ++i) w.codes[i] = static_cast<std::uint8_t>(row.code(kBlock * b + i));
      pack_codes(l, w, r, panel + l.codes_of(b));
    }
  for (int r = 0; r < kPanelRows; ++r) {
    if (rows[r] == nullptr) continue;
    const reference::ScaledRow row(format, groups, rows[r], k);
    for (std::int64_t g = 0; g < groups.count; ++g) {
      std::memcpy(panel + scaled.scales_of(g) + scaled.scale_bytes * r, row.scales + g * scaled.scale_bytes, size);
      if (groups.zeros) panel[scaled.zeros_of(g) + r] = row.zeros[g];
    }
  }
}

/// Column c of row r of an e4m3 panel, without the factor that packing gave its block.
float e4m3_value(const std::byte* panel, int r, std::int64_t c) noexcept {
  constexpr PanelLayout l = panel_layout(Format::e4m3);
  const std::int64_t b = c / kBlock, at = l.codes_of(b) + c % kBlock / 4 * 64 + 4 * r + c % 4;
  const std::uint32_t code = quant::load_u8(panel + at);
  const float steps = static_cast<float>(quant::e4m3_steps(code & 0x7fu));
  const int width = static_cast<int>(quant::load_u8(panel + l.header_of(b) + r)) - kE4m3Header;
  return (code >= 0x80u ? -steps : steps) * 0x1p-11f * reference::e4m3_unit(width);
}

void unpack_scaled(Format format, const Panels& w, std::int64_t row, float* out) noexcept {
  const std::byte* panel = w.data + row / kPanelRows * w.panel_bytes;
  const int r = static_cast<int>(row % kPanelRows);
  WeightBlock block{};
  for (std::int64_t c = 0; c < w.k; ++c) {
    const PanelScale of_row = read_panel_scale(format, w, row, c);
    if (format == Format::e4m3) {
      out[c] = e4m3_value(panel, r, c) * of_row.scale;
      continue;
    }
    if (c % kBlock == 0) block = read_panel_block(format, panel, r, c / kBlock);
    out[c] = reference::scaled_weight(format, block.codes[c % kBlock], of_row.scale, of_row.zero);
  }
}

bool scaled_row_is_valid(Format format, std::int64_t k, const std::byte* row, const Groups& groups) noexcept {
  const reference::ScaledRow r(format, groups, row, k);
  for (std::int64_t g = 0; g < groups.count; ++g)
    if (!(std::fabs(r.scale(g)) < reference::kMaxE4m3Scale)) return false;
  for (std::int64_t g = 0; format == Format::int4 && g < groups.count; ++g)
    if (r.zero(g) > reference::kMaxInt4Zero) return false;
  for (std::int64_t c = 0; format == Format::e4m3 && c < k; ++c)
    if ((r.code(c) & 0x7fu) == 0x7fu) return false;
  return true;
}

bool f16_is_finite(std::uint16_t bits) noexcept { return (bits & 0x7c00u) != 0x7c00u; }

}  // namespace

reference::WeightBlock read_panel_block(Format format, const std::byte* panel, int row, std::int64_t b) noexcept {
  const PanelLayout l = panel_layout(format);
  WeightBlock w{};
  if (is_scaled_format(format)) {
    unpack_codes(l, panel + l.codes_of(b), row, w);
    if (format == Format::e4m3) w.d = static_cast<std::uint16_t>(quant::load_u8(panel + l.header_of(b) + row));
    return w;
  }
  const std::byte* header = panel + l.header_of(b);
  w.d = read_u16(header + 2 * row);
  if (format == Format::mxfp4) w.d = mxfp4_exponent(w.d);
  if (l.has_min) w.m = read_u16(header + l.m_at + 2 * row);
  if (l.has_scales) {
    const auto* scales = reinterpret_cast<const std::uint8_t*>(panel + l.scales_of(b)) + row;
    const BlockKind kind = reference::block_form(format).kind;
    for (int h = 0; h < 2; ++h) {
      const std::uint8_t own = scales[kPanelRows * h];
      w.sc[h] = static_cast<std::int8_t>(kind == BlockKind::halves_min ? own & 15
                                         : kind == BlockKind::halves   ? own
                                                                       : scales[0]);
      w.mn[h] = static_cast<std::int8_t>(kind == BlockKind::halves_min ? own >> 4
                                         : kind == BlockKind::halves   ? 0
                                                                       : scales[kPanelRows]);
    }
  }
  unpack_codes(l, panel + l.codes_of(b), row, w);
  return w;
}

PanelScale read_panel_scale(Format format, const Panels& w, std::int64_t row, std::int64_t column) noexcept {
  const ScaledLayout l(format, w.k, w.groups);
  const std::byte* panel = w.data + row / kPanelRows * w.panel_bytes;
  const std::int64_t r = row % kPanelRows, group = w.groups.of(column);
  const float scale = reference::scale_value(w.groups.scale, panel + l.scales_of(group) + l.scale_bytes * r);
  const std::int32_t none = format == Format::int4 ? 8 : 128;
  return {scale, w.groups.zeros ? static_cast<std::int32_t>(quant::load_u8(panel + l.zeros_of(group) + r)) : none};
}

std::int64_t panel_bytes(Format format, std::int64_t k, const Groups& groups) noexcept {
  if (is_scaled_format(format)) return ScaledLayout(format, k, groups).bytes;
  if (!is_integer_format(format)) return kPanelRows * row_bytes(format, k);
  const PanelLayout l = panel_layout(format);
  return k / kBlock / l.super_blocks * l.super_bytes;
}

void pack_panel(Format format, std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel,
                const Groups& groups) noexcept {
  if (is_scaled_format(format)) return pack_scaled(format, k, rows, panel, groups);
  const std::int64_t bytes = row_bytes(format, k);
  if (is_integer_format(format)) {
    if (rows[kPanelRows - 1] == nullptr) std::memset(panel, 0, static_cast<std::size_t>(panel_bytes(format, k)));
    pack_integer(format, k, rows, panel, std::make_index_sequence<std::size(kFormats)>{});
  } else if (format == Format::f32) {
    transpose<4>(k, rows, panel);
  } else if (is_float_format(format)) {
    transpose<2>(k, rows, panel);
  } else {
    for (int r = 0; r < kPanelRows; ++r) {
      if (rows[r] != nullptr)
        std::memcpy(panel + r * bytes, rows[r], static_cast<std::size_t>(bytes));
      else
        std::memset(panel + r * bytes, 0, static_cast<std::size_t>(bytes));
    }
  }
}

void unpack_row(Format format, const Panels& w, std::int64_t row, float* out) noexcept {
  if (is_scaled_format(format)) return unpack_scaled(format, w, row, out);
  const std::byte* panel = w.data + row / kPanelRows * w.panel_bytes;
  const int r = static_cast<int>(row % kPanelRows);
  if (is_integer_format(format)) {
    for (std::int64_t b = 0; b < w.k / kBlock; ++b)
      reference::widen_block(format, read_panel_block(format, panel, r, b), out + kBlock * b);
  } else if (is_float_format(format)) {
    const int size = format_info(format).block_bytes;
    for (std::int64_t i = 0; i < w.k; ++i) decode_row(format, panel + (i * kPanelRows + r) * size, 1, out + i);
  } else {
    decode_row(format, panel + r * row_bytes(format, w.k), w.k, out);
  }
}

void widen_raw(Format format, const std::byte* panel, std::int64_t k, std::int64_t k_begin, std::int64_t count,
               float* out) noexcept {
  const std::int64_t bytes = row_bytes(format, k);
  float piece[256];
  for (std::int64_t i = 0; i < count; i += 256) {
    const std::int64_t n = count - i < 256 ? count - i : 256;
    for (int r = 0; r < kPanelRows; ++r) {
      decode_row(format, panel + r * bytes + row_bytes(format, k_begin + i), n, piece);
      for (std::int64_t j = 0; j < n; ++j) out[(i + j) * kPanelRows + r] = piece[j];
    }
  }
}

std::int64_t gemm_f32_scratch(Format format, std::int64_t k) noexcept {
  // The widened kernels hold 256 values of four panels, the scalar ones a row.
  constexpr std::int64_t kWidened = std::int64_t{4} * 256 * kPanelRows;
  (void)format;
  return k > kWidened ? k : kWidened;
}

bool row_is_valid(Format format, std::int64_t k, const std::byte* row, const Groups& groups) noexcept {
  if (is_scaled_format(format)) return scaled_row_is_valid(format, k, row, groups);
  if (is_integer_format(format)) {
    const BlockForm form = reference::block_form(format);
    for (std::int64_t b = 0; b < k / kBlock; b += form.super_blocks) {
      const WeightBlock w = reference::read_weight_block(format, row, b);
      if (format == Format::mxfp4 ? w.d == 255 : !f16_is_finite(w.d) || !f16_is_finite(w.m)) return false;
    }
    return true;
  }
  float piece[256];
  for (std::int64_t i = 0; i < k; i += 256) {
    const std::int64_t n = k - i < 256 ? k - i : 256;
    decode_row(format, row + row_bytes(format, i), n, piece);
    for (std::int64_t j = 0; j < n; ++j)
      if (!std::isfinite(piece[j])) return false;
  }
  return true;
}

}  // namespace moe::inline MOE_ABI::kernels

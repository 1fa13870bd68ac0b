#pragma once
// The two register tiles of attention: scores of a few queries against 64 keys (lanes are keys), and weighted sums of
// values (lanes are dims). Both keep one chain per result in rising order, whatever the tile (docs/NUMERICS.md).
// The loops over a tile's accumulators are unrolled explicitly: without it (g++ -O2) the accumulators are in memory,
// 2.5 times slower. Unrolled, AVX-512 reaches 77-85 % of the peak of float32 fma (6 x 64 and 16 x 16 tiles, one core).

#include <cstdint>

#include "kernels/simd_cache.hpp"
#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Queries per tile: 6 x 4 accumulators of 16 lanes, 4 loads and a broadcast fill the 32 registers of AVX-512.
inline constexpr int kQueryTile = 6;
/// Queries that share one widened block and scratch; multiples of the tile and of 16 lanes.
inline constexpr int kQueryGroup = 48, kGqaGroup = 96;

/// 16-lane columns per pass, so that `Queries` rows of accumulators stay in registers (16 on AVX2, 32 elsewhere).
template <class Arch, int Queries>
constexpr int columns_per_pass() {
  constexpr int kRegisterCount = sizeof(Native<Arch>) == 32 ? 16 : 32;
  constexpr int kColumns = (kRegisterCount - 6) / (Queries * Lanes<float, Arch>::kRegisters);
  return kColumns >= 4 ? 4 : kColumns >= 2 ? 2 : 1;
}

/// A block of the cache as the tiles read it: keys in columns [n, 64], values in rows [64, stride] from dimension 0 on.
template <class Type>
struct CacheTile {
  const typename Type::Value* values;
  std::int64_t stride = 0;        ///< of rows
  const float* scales = nullptr;  ///< of codes: widened, in the same order
  std::int64_t scale_stride = 0;  ///< of rows
};

/// s[i * 64 + j] = scale * sum_d q[i][d] * keys[d, j], for Queries rows and the 64 keys of a block.
template <class Arch, class Type, int Queries>
MOE_FORCE_INLINE void score_tile(const float* q, std::int64_t q_stride, const CacheTile<Type>& keys,
                                 std::int64_t key_dim, float scale, float* s) {
  constexpr int kColumns = columns_per_pass<Arch, Queries>();
  for (int first = 0; first < 4; first += kColumns) {
    Lanes<float, Arch> acc[Queries][kColumns];
#pragma GCC unroll 16
    for (int i = 0; i < Queries; ++i)
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) acc[i][c] = broadcast<Arch>(0.0f);
    const typename Type::Value* row = keys.values + first * 16;
    for (std::int64_t d = 0; d < key_dim; ++d, row += kKeyBlock) {
      Lanes<float, Arch> k[kColumns];
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c) {
        k[c] = load_cache<Arch>(Type{}, row + c * 16);
        if constexpr (Type::kScaled)
          k[c] = mul<Arch>(k[c], load<Arch>(keys.scales + d / kKvBlock * kKeyBlock + (first + c) * 16));
      }
#pragma GCC unroll 16
      for (int i = 0; i < Queries; ++i) {
        const Lanes<float, Arch> x = broadcast<Arch>(q[i * q_stride + d]);
#pragma GCC unroll 16
        for (int c = 0; c < kColumns; ++c) acc[i][c] = fma<Arch>(x, k[c], acc[i][c]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < Queries; ++i)
#pragma GCC unroll 16
      for (int c = 0; c < kColumns; ++c)
        store<Arch>(s + i * kKeyBlock + (first + c) * 16, mul<Arch>(acc[i][c], broadcast<Arch>(scale)));
  }
}

/// Rows of one weighted sum: o[i] = o[i] * alpha[i], then o[i] = fma(p(i, j), v[j], o[i]) for j in [begin, end).
/// p(i, j) = p[i * query_stride + j * key_stride].
struct ValueTile {
  const float* p;
  std::int64_t query_stride, key_stride;
  const float* alpha;
  int begin, end;
  float* o;
  std::int64_t o_stride;
};

/// Dims [d, d + 16 * Columns).
template <class Arch, class Type, int Queries, int Columns>
MOE_FORCE_INLINE void value_columns(const ValueTile& t, const CacheTile<Type>& values, std::int64_t d) {
  Lanes<float, Arch> acc[Queries][Columns];
#pragma GCC unroll 16
  for (int i = 0; i < Queries; ++i)
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c)
      acc[i][c] = mul<Arch>(load<Arch>(t.o + i * t.o_stride + c * 16), broadcast<Arch>(t.alpha[i]));
  const typename Type::Value* row = values.values + t.begin * values.stride + d;
  const float* p = t.p + t.begin * t.key_stride;
  for (int j = t.begin; j < t.end; ++j, row += values.stride, p += t.key_stride) {
    Lanes<float, Arch> v[Columns];
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
      v[c] = load_cache<Arch>(Type{}, row + c * 16);
      if constexpr (Type::kScaled)
        v[c] = mul<Arch>(v[c], broadcast<Arch>(values.scales[j * values.scale_stride + (d + c * 16) / kKvBlock]));
    }
#pragma GCC unroll 16
    for (int i = 0; i < Queries; ++i) {
      const Lanes<float, Arch> weight = broadcast<Arch>(p[i * t.query_stride]);
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) acc[i][c] = fma<Arch>(weight, v[c], acc[i][c]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Queries; ++i)
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) store<Arch>(t.o + i * t.o_stride + c * 16, acc[i][c]);
}

/// The same for `value_dim` dims, a multiple of 16.
template <class Arch, class Type, int Queries>
MOE_FORCE_INLINE void value_tile(ValueTile t, const CacheTile<Type>& values, std::int64_t value_dim) {
  constexpr int kColumns = columns_per_pass<Arch, Queries>();
  std::int64_t d = 0;
  for (; d + kColumns * 16 <= value_dim; d += kColumns * 16, t.o += kColumns * 16)
    value_columns<Arch, Type, Queries, kColumns>(t, values, d);
  for (; d < value_dim; d += 16, t.o += 16) value_columns<Arch, Type, Queries, 1>(t, values, d);
}

/// Calls f with `count` (1..kQueryTile) as a compile-time constant.
template <int N>
struct TileSize {
  static constexpr int value = N;
};
template <class F>
MOE_FORCE_INLINE void with_tile_size(int count, F&& f) {
  switch (count) {
    case 1: return f(TileSize<1>{});
    case 2: return f(TileSize<2>{});
    case 3: return f(TileSize<3>{});
    case 4: return f(TileSize<4>{});
    case 5: return f(TileSize<5>{});
    default: return f(TileSize<kQueryTile>{});
  }
}

MOE_FORCE_INLINE std::int64_t round_up_16(std::int64_t n) { return (n + 15) / 16 * 16; }

/// Keys of the block that starts at position `start` and are visible up to `last`: 0 .. 64.
MOE_FORCE_INLINE int visible_keys(std::int64_t last, std::int64_t start) {
  const std::int64_t count = last - start + 1;
  return static_cast<int>(count < 0 ? 0 : count < kKeyBlock ? count : kKeyBlock);
}

/// The first `count` (1..15) values, then +0.
template <class Arch, class Type>
MOE_FORCE_INLINE Lanes<float, Arch> load_cache_part(const typename Type::Value* p, std::int64_t count) {
  typename Type::Value part[16] = {};
  for (std::int64_t i = 0; i < count; ++i) part[i] = p[i];
  return load_cache<Arch>(Type{}, part);
}

/// Widens rows of a block: row r to out + r * out_stride, columns past `columns` (up to the next 16) set to +0.
template <class Arch, class Type>
MOE_FORCE_INLINE void widen_rows(const typename Type::Value* in, std::int64_t rows, std::int64_t columns, float* out,
                                 std::int64_t out_stride) {
  for (std::int64_t r = 0; r < rows; ++r, in += columns, out += out_stride) {
    std::int64_t c = 0;
    for (; c + 16 <= columns; c += 16) store<Arch>(out + c, load_cache<Arch>(Type{}, in + c));
    if (c < columns) store<Arch>(out + c, load_cache_part<Arch, Type>(in + c, columns - c));
  }
}

/// f16 scales [count] to float32.
template <class Arch>
MOE_FORCE_INLINE void widen_scales(const std::uint16_t* in, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; i += 16) store<Arch>(out + i, load_cache<Arch>(CacheF16{}, in + i));
}
/// The scales behind the codes of a block of `n` numbers per position.
MOE_FORCE_INLINE const std::uint16_t* scales_of(const std::int8_t* codes, std::int64_t n) {
  return reinterpret_cast<const std::uint16_t*>(codes + kKeyBlock * n);
}

/// Keys [key_dim, 64] to float32.
template <class Arch, class Type>
MOE_FORCE_INLINE void widen_keys(const typename Type::Value* in, std::int64_t key_dim, float* out) {
  if constexpr (Type::kScaled) {
    const std::uint16_t* scales = scales_of(in, key_dim);
    for (std::int64_t d = 0; d < key_dim; ++d)
      for (int c = 0; c < kKeyBlock; c += 16) {
        const Lanes<float, Arch> scale = load_cache<Arch>(CacheF16{}, scales + d / kKvBlock * kKeyBlock + c);
        store<Arch>(out + d * kKeyBlock + c, mul<Arch>(load_cache<Arch>(Type{}, in + d * kKeyBlock + c), scale));
      }
  } else {
    widen_rows<Arch, Type>(in, key_dim, kKeyBlock, out, kKeyBlock);
  }
}

/// One row of codes [columns] with its scales to float32, up to the next 16 columns.
template <class Arch, class Type>
MOE_FORCE_INLINE void widen_coded_row(const typename Type::Value* in, const std::uint16_t* scales, std::int64_t columns,
                                      float* out) {
  Lanes<float, Arch> scale = broadcast<Arch>(0.0f);
  for_lanes(columns, [&](std::int64_t c, std::int64_t count) MOE_INLINE_LAMBDA {
    if (c % kKvBlock == 0) scale = broadcast<Arch>(f16_to_float(scales[c / kKvBlock]));
    const auto codes = count == 16 ? load_cache<Arch>(Type{}, in + c) : load_cache_part<Arch, Type>(in + c, count);
    store<Arch>(out + c, mul<Arch>(codes, scale));
  });
}

/// Values [rows, columns] to float32, as widen_rows.
template <class Arch, class Type>
MOE_FORCE_INLINE void widen_values(const typename Type::Value* in, std::int64_t rows, std::int64_t columns, float* out,
                                   std::int64_t out_stride) {
  if constexpr (Type::kScaled) {
    const std::uint16_t* scales = scales_of(in, columns);
    for (std::int64_t r = 0; r < rows; ++r, in += columns, out += out_stride, scales += kv_scales(columns))
      widen_coded_row<Arch, Type>(in, scales, columns, out);
  } else {
    widen_rows<Arch, Type>(in, rows, columns, out, out_stride);
  }
}

/// The first visible key of that block: 0 .. 64.
MOE_FORCE_INLINE int hidden_keys(std::int64_t first, std::int64_t start) {
  const std::int64_t count = first - start;
  return static_cast<int>(count < 0 ? 0 : count < kKeyBlock ? count : kKeyBlock);
}

/// Adds one block's weighted values to a tile of queries that see counts[i] (rising) of its keys.
template <class Arch, class Type>
MOE_FORCE_INLINE void add_values(ValueTile t, int queries, const int* counts, const CacheTile<Type>& values,
                                 std::int64_t value_dim) {
  constexpr float kOne = 1.0f;
  const int shared = counts[0];  // the tile runs over the keys that all its queries see
  if (shared > 0) {
    t.begin = 0, t.end = shared;
    with_tile_size(queries, [&](auto size) { value_tile<Arch, Type, size.value>(t, values, value_dim); });
  }
  for (int i = 0; i < queries; ++i) {  // then each query its further keys
    if (counts[i] == shared) continue;
    ValueTile one = t;
    one.p = t.p + i * t.query_stride;
    one.o = t.o + i * t.o_stride;
    one.alpha = shared > 0 ? &kOne : t.alpha + i;
    one.begin = shared, one.end = counts[i];
    value_tile<Arch, Type, 1>(one, values, value_dim);
  }
}

/// The same where query i sees the keys [begins[i], counts[i]) of the block, both rising; none where that is empty.
template <class Arch, class Type>
MOE_FORCE_INLINE void add_windowed_values(ValueTile t, int queries, const int* begins, const int* counts,
                                          const CacheTile<Type>& values, std::int64_t value_dim) {
  constexpr float kOne = 1.0f;
  const int begin = begins[queries - 1], end = counts[0];  // keys that all queries see
  const bool shared = begin < end;
  float alpha[kQueryTile];
  for (int i = 0; i < queries; ++i) alpha[i] = t.alpha[i];
  const auto alone = [&](int i, int first, int last) {
    if (first >= last) return;
    ValueTile one = t;
    one.p = t.p + i * t.query_stride;
    one.o = t.o + i * t.o_stride;
    one.alpha = alpha + i;
    one.begin = first, one.end = last;
    value_tile<Arch, Type, 1>(one, values, value_dim);
    alpha[i] = kOne;
  };
  // Each query in rising keys: those before the shared ones, the shared ones with all others, then the rest.
  for (int i = 0; i < queries; ++i) alone(i, begins[i], shared ? begin : counts[i]);
  if (!shared) return;
  ValueTile all = t;
  all.alpha = alpha;
  all.begin = begin, all.end = end;
  with_tile_size(queries, [&](auto size) { value_tile<Arch, Type, size.value>(all, values, value_dim); });
  for (int i = 0; i < queries; ++i) alpha[i] = kOne;
  for (int i = 0; i < queries; ++i) alone(i, end, counts[i]);
}

}  // namespace moe::inline MOE_ABI::kernels

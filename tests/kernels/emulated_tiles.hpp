#pragma once
// The tile instructions of AMX that the kernels use, in plain C++: include it before kernels/gemm_q8_amx.hpp, and its
// products run on a CPU without them. Meaning: Intel's Architecture Instruction Set Extensions Programming Reference,
// LDTILECFG, TILELOADD, TILESTORED, TILEZERO and TDPBSSD.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace moe_test {
namespace {  // this unit has instruction-set flags and shares nothing with others

struct EmulatedTiles {
  int rows[8], row_bytes[8];
  alignas(64) std::uint8_t data[8][16][64];

  // Bytes 16 to 31 are the row lengths, 48 to 55 the numbers of rows.
  void configure(const void* config) {
    const auto* bytes = static_cast<const std::uint8_t*>(config);
    std::memset(data, 0, sizeof data);
    for (int i = 0; i < 8; ++i) {
      std::uint16_t length;
      std::memcpy(&length, bytes + 16 + 2 * i, sizeof length);
      row_bytes[i] = length, rows[i] = bytes[48 + i];
    }
  }
  // Rows and bytes that the configuration leaves out become 0.
  void zero(int tile) { std::memset(data[tile], 0, sizeof data[tile]); }
  void load(int tile, const void* from, std::int64_t stride) {
    zero(tile);
    for (int r = 0; r < rows[tile]; ++r)
      std::memcpy(data[tile][r], static_cast<const std::uint8_t*>(from) + r * stride,
                  static_cast<std::size_t>(row_bytes[tile]));
  }
  void store(int tile, void* to, std::int64_t stride) const {
    for (int r = 0; r < rows[tile]; ++r)
      std::memcpy(static_cast<std::uint8_t*>(to) + r * stride, data[tile][r],
                  static_cast<std::size_t>(row_bytes[tile]));
  }
  // c[m][n] += sum over k and j of a[m][4 k + j] * b[k][4 n + j], signed bytes.
  void dot(int c, int a, int b) {
    for (int m = 0; m < rows[c]; ++m)
      for (int n = 0; n < row_bytes[c] / 4; ++n) {
        std::int32_t sum;
        std::memcpy(&sum, data[c][m] + 4 * n, sizeof sum);
        for (int k = 0; k < row_bytes[a] / 4; ++k)
          for (int j = 0; j < 4; ++j)
            sum += static_cast<std::int8_t>(data[a][m][4 * k + j]) * static_cast<std::int8_t>(data[b][k][4 * n + j]);
        std::memcpy(data[c][m] + 4 * n, &sum, sizeof sum);
      }
  }
};

EmulatedTiles emulated_tiles;

}  // namespace
}  // namespace moe_test

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#define _tile_loadconfig(config) moe_test::emulated_tiles.configure(config)
#define _tile_release() static_cast<void>(0)
#define _tile_zero(tile) moe_test::emulated_tiles.zero(tile)
#define _tile_loadd(tile, from, stride) moe_test::emulated_tiles.load(tile, from, stride)
#define _tile_stored(tile, to, stride) moe_test::emulated_tiles.store(tile, to, stride)
#define _tile_dpbssd(c, a, b) moe_test::emulated_tiles.dot(c, a, b)

// Packing loses nothing: rows come back with the bits that decoding the file's row gives.

#include "gemm_case.hpp"

using namespace moe_test;

TEST_CASE("unpack_row equals decoding the file's row") {
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    std::mt19937 rng(static_cast<unsigned>(info.format));
    for (std::int64_t rows : {1, 16, 21}) {
      const std::int64_t k = info.block_values == 1 ? 33 : info.block_values * 5;
      const Weights w = random_weights(info.format, rows, k, rng);
      std::vector<float> expected(static_cast<std::size_t>(k)), got(static_cast<std::size_t>(k));
      for (std::int64_t r = 0; r < rows; ++r) {
        moe::decode_row(info.format, w.rows[static_cast<std::size_t>(r)].data(), k, expected.data());
        unpack_row(info.format, w.panels(), r, got.data());
        CHECK(same_bits(got, expected));
      }
    }
  }
}

TEST_CASE("a packed matrix is hardly larger than the file's") {
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    CHECK(panel_bytes(info.format, 2048) >= kPanelRows * moe::row_bytes(info.format, 2048));
    CHECK(static_cast<double>(panel_bytes(info.format, 2048)) <=
          1.06 * kPanelRows * static_cast<double>(moe::row_bytes(info.format, 2048)));
  }
}

TEST_CASE("scales that are not finite are refused") {
  std::mt19937 rng(2);
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    std::vector<std::byte> row = random_row(info.format, info.block_values * 2, rng);
    CHECK(row_is_valid(info.format, info.block_values * 2, row.data()));
    // One of the two-byte fields of the second block is the scale, in every format that has one.
    bool refused = false;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      std::vector<std::byte> bad = row;
      bad[i] = std::byte{0xff};
      bad[i + 1] = std::byte{0xff};
      refused = refused || !row_is_valid(info.format, info.block_values * 2, bad.data());
    }
    // iq1_m spreads its scale over four fields; no byte of nvfp4 decodes to anything but a finite number.
    if (info.format != Format::iq1_m && info.format != Format::nvfp4) CHECK(refused);
  }
}

// float32 activations: every format on every table gives the bits of one fma chain over the decoded row.

#include <numeric>

#include "gemm_case.hpp"

using namespace moe_test;

namespace {

void check_format(Format format, std::int64_t rows, std::int64_t k, std::int64_t tokens) {
  std::mt19937 rng(static_cast<unsigned>(static_cast<int>(format) * 31 + rows));
  const Weights w = random_weights(format, rows, k, rng);
  const Activations a = random_activations(tokens, k, rng);
  std::vector<std::int32_t> index(static_cast<std::size_t>(tokens));
  for (std::int32_t& i : index) i = static_cast<std::int32_t>(rng() % static_cast<unsigned>(tokens));
  std::vector<float> row(static_cast<std::size_t>(k)), expected(static_cast<std::size_t>(tokens * rows));
  for (std::int64_t r = 0; r < rows; ++r) {
    moe::decode_row(format, w.rows[static_cast<std::size_t>(r)].data(), k, row.data());
    for (std::int64_t t = 0; t < tokens; ++t)
      expected[static_cast<std::size_t>(t * rows + r)] =
          moe::reference::dot_f32(row.data(), k, &a.x[static_cast<std::size_t>(t * k)]);
  }
  std::vector<float> scratch(static_cast<std::size_t>(gemm_f32_scratch(format, k)));
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->isa);
    for (std::int64_t count : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 31}) {
      if (count > tokens) continue;
      for (bool gather : {false, true}) {
        CAPTURE(count);
        CAPTURE(gather);
        std::vector<float> y(static_cast<std::size_t>(count * rows), -77.0f);
        const std::int64_t split = gather ? w.panel_count() / 2 : 0;
        for (int part = 0; part < 2; ++part) {
          GemmF32 g{w.panels(),
                    a.x.data(),
                    k,
                    gather ? index.data() : nullptr,
                    count,
                    y.data(),
                    rows,
                    part == 0 ? 0 : split,
                    part == 0 ? split : w.panel_count(),
                    scratch.data()};
          table->gemm_f32[static_cast<std::size_t>(format)](g);
        }
        std::vector<float> want;
        for (std::int64_t t = 0; t < count; ++t) {
          const std::int64_t token = gather ? index[static_cast<std::size_t>(t)] : t;
          want.insert(want.end(), expected.begin() + token * rows, expected.begin() + (token + 1) * rows);
        }
        CHECK(same_bits(y, want));
      }
    }
  }
}

}  // namespace

TEST_CASE("every format times float32 gives the chain's bits on every ISA") {
  for (const moe::FormatInfo& info : moe::kFormats) {
    CAPTURE(info.name);
    for (std::int64_t rows : {1, 17, 100}) {
      const std::int64_t k = rows == 1 ? info.block_values : rows == 17 ? (info.block_values == 1 ? 77 : 768) : 256;
      CAPTURE(rows);
      check_format(info.format, rows, k, rows == 100 ? 13 : 31);
    }
    if (info.block_values < 256) check_format(info.format, 16, info.block_values == 1 ? 1000 : 576, 12);
  }
}

// Integer weights times q8g32: every table against the scalar twin, bit for bit, and the twin against float64.

#include <numeric>

#include "gemm_case.hpp"

using namespace moe_test;

namespace {

constexpr std::int64_t kTokens = 64;

std::vector<float> twin(const Weights& w, const Activations& a) {
  std::vector<float> y;
  for (std::int64_t t = 0; t < a.count; ++t)
    for (const auto& row : w.rows)
      y.push_back(moe::reference::dot_q8(w.format, row.data(), w.k, &a.codes[static_cast<std::size_t>(t * w.k)],
                                         &a.scales[static_cast<std::size_t>(t * w.k / 32)],
                                         &a.sums[static_cast<std::size_t>(t * w.k / 16)]));
  return y;
}

/// Tiles of the tokens, built in up to `splits` calls. Bytes after them must stay untouched.
std::vector<std::byte> filled_tiles(const KernelTable& table, Format format, const Activations& a,
                                    const std::int32_t* index, std::int64_t count, std::int64_t splits) {
  const auto at = static_cast<std::size_t>(format);
  const int most = table.q8_tile_tokens[at];
  const std::int64_t tile_count = split_tiles(count, most).count;
  const auto bytes = static_cast<std::size_t>(tiles_bytes(count, most, a.k));
  std::vector<std::byte> tiles(bytes + 64, std::byte{0x5a});
  for (std::int64_t s = 0; s < splits; ++s)
    table.fill_q8[at](
        {a.q8(), index, count, most, tile_count * s / splits, tile_count * (s + 1) / splits, tiles.data()});
  for (std::size_t i = bytes; i < tiles.size(); ++i)
    if (tiles[i] != std::byte{0x5a}) FAIL("wrote past the last tile");
  return tiles;
}

/// All rows of `w`, in `splits` calls, for tokens index[0 .. count). y has a margin that must stay untouched.
std::vector<float> run(const KernelTable& table, const Weights& w, const Activations& a,
                       const std::vector<std::int32_t>& index, bool gather, std::int64_t splits) {
  const auto stride = static_cast<std::size_t>(w.row_count + 3);
  std::vector<float> y(index.size() * stride, -77.0f);
  const auto count = static_cast<std::int64_t>(index.size());
  const std::vector<std::byte> tiles = filled_tiles(table, w.format, a, gather ? index.data() : nullptr, count, splits);
  for (std::int64_t s = 0; s < splits; ++s) {
    GemmQ8 g{w.panels(),
             tiles.data(),
             count,
             y.data(),
             static_cast<std::int64_t>(stride),
             w.panel_count() * s / splits,
             w.panel_count() * (s + 1) / splits};
    table.gemm_q8[static_cast<std::size_t>(w.format)](g);
  }
  std::vector<float> out;
  for (std::size_t t = 0; t < index.size(); ++t) {
    for (std::size_t r = 0; r < stride; ++r) {
      if (r < static_cast<std::size_t>(w.row_count))
        out.push_back(y[t * stride + r]);
      else if (y[t * stride + r] != -77.0f)
        FAIL("wrote past the last row");
    }
  }
  return out;
}

std::vector<float> rows_of(const std::vector<float>& y, std::int64_t row_count,
                           const std::vector<std::int32_t>& index) {
  std::vector<float> out;
  for (std::int32_t t : index) out.insert(out.end(), y.begin() + t * row_count, y.begin() + (t + 1) * row_count);
  return out;
}

template <class Visit>
void for_each_integer_format(Visit visit) {
  for (const moe::FormatInfo& info : moe::kFormats)
    if (moe::reference::is_integer_format(info.format)) visit(info);
}

void check_tables(const Weights& w, const Activations& a, std::mt19937& rng) {
  const std::vector<float> expected = twin(w, a);
  std::vector<std::int64_t> counts = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 25, 31, 64};
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->isa);
    for (std::int64_t count : counts) {
      if (count > a.count) continue;
      CAPTURE(count);
      std::vector<std::int32_t> index(static_cast<std::size_t>(count));
      std::iota(index.begin(), index.end(), 0);
      CHECK(same_bits(run(*table, w, a, index, false, 1), rows_of(expected, w.row_count, index)));
      for (std::int32_t& i : index) i = static_cast<std::int32_t>(rng() % static_cast<unsigned>(a.count));
      CHECK(same_bits(run(*table, w, a, index, true, count % 2 == 0 ? w.panel_count() : 1),
                      rows_of(expected, w.row_count, index)));
    }
  }
}

}  // namespace

TEST_CASE("every integer format gives the scalar twin's bits on every ISA") {
  for_each_integer_format([](const moe::FormatInfo& info) {
    CAPTURE(info.name);
    const std::int64_t unit = info.block_values;
    for (std::int64_t rows : {1, 15, 16, 17, 40}) {
      const std::int64_t k = rows == 40 ? (unit == 32 ? 1056 : 2304) : rows == 17 ? 2 * unit : unit * 3;
      CAPTURE(rows);
      CAPTURE(k);
      std::mt19937 rng(static_cast<unsigned>(100 * static_cast<int>(info.format) + rows));
      const Weights w = random_weights(info.format, rows, k, rng);
      check_tables(w, random_activations(rows == 40 ? kTokens / 2 : kTokens, k, rng), rng);
    }
    std::mt19937 rng(5);  // one block, and many
    check_tables(random_weights(info.format, 16, unit, rng), random_activations(13, unit, rng), rng);
    const std::int64_t k = unit == 32 ? 12 * 1024 + 320 : 12 * 1024 + 512;
    check_tables(random_weights(info.format, 3, k, rng), random_activations(3, k, rng), rng);
  });
}

// AMX works in stretches of 64 blocks, pairs of blocks, and what is left.
TEST_CASE("rows of every length around a stretch of blocks") {
  for_each_integer_format([](const moe::FormatInfo& info) {
    CAPTURE(info.name);
    for (const std::int64_t blocks : {4, 5, 6, 7, 8, 63, 64, 65, 66, 67, 68, 69, 72, 128, 136}) {
      const std::int64_t k = 32 * blocks;
      if (k % info.block_values != 0) continue;
      CAPTURE(blocks);
      std::mt19937 rng(static_cast<unsigned>(blocks));
      const Weights w = random_weights(info.format, 40, k, rng);
      const Activations a = random_activations(40, k, rng);
      const std::vector<float> expected = twin(w, a);
      for (const KernelTable* table : tables_under_test()) {
        CAPTURE(table->isa);
        for (const std::int64_t count : {6, 16, 40}) {
          CAPTURE(count);
          std::vector<std::int32_t> index(static_cast<std::size_t>(count));
          std::iota(index.begin(), index.end(), 0);
          CHECK(same_bits(run(*table, w, a, index, false, w.panel_count()), rows_of(expected, w.row_count, index)));
        }
      }
    }
  });
}

TEST_CASE("extreme codes against extreme activations are exact") {
  for_each_integer_format([](const moe::FormatInfo& info) {
    CAPTURE(info.name);
    for (unsigned fill : {0x00u, 0xffu, 0x80u, 0x7fu, 0x88u}) {
      CAPTURE(fill);
      std::mt19937 rng(9);
      const std::int64_t k = 512;
      Weights w = random_weights(info.format, 16, k, rng);
      // Only codes change: the scales stay those of valid random blocks.
      for (auto& row : w.rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
          const auto before = row[i];
          row[i] = static_cast<std::byte>(fill);
          const std::size_t block =
              i / static_cast<std::size_t>(info.block_bytes) * static_cast<std::size_t>(info.block_bytes);
          std::vector<float> v(static_cast<std::size_t>(info.block_values));
          moe::decode_row(info.format, &row[block], info.block_values, v.data());
          bool usable = row_is_valid(info.format, info.block_values, &row[block]);
          for (float x : v) usable = usable && std::fabs(x) < 1e7f;
          if (!usable) row[i] = before;
        }
      w.pack();
      Activations a = random_activations(13, k, rng);
      for (std::size_t i = 0; i < a.x.size(); ++i) {
        const std::size_t t = i / static_cast<std::size_t>(k);
        a.x[i] = t % 3 == 0 ? 127.0f : t % 3 == 1 ? -127.0f : (i % 2 == 0 ? 127.0f : -127.0f);
      }
      a.quantize();
      check_tables(w, a, rng);
    }
  });
}

// -128 is the extreme of a signed weight, +127 that of the code (255): each saturates another wrong way to multiply.
TEST_CASE("q8_0 weights of -128 and 127 do not saturate") {
  for (const int weight : {-128, 127}) {
    CAPTURE(weight);
    Weights w{Format::q8_0, 16, 64, {}, {}};
    for (int r = 0; r < 16; ++r) {
      std::vector<std::byte> row(68, static_cast<std::byte>(weight & 255));
      for (std::size_t b : {0u, 34u}) row[b] = std::byte{0}, row[b + 1] = std::byte{0x3c};  // d = 1
      w.rows.push_back(row);
    }
    w.pack();
    for (const float sign : {1.0f, -1.0f}) {
      Activations a{13, 64, std::vector<float>(13 * 64, 127.0f * sign), {}, {}, {}};
      a.quantize();
      for (const KernelTable* table : tables_under_test()) {
        CAPTURE(table->isa);
        const std::vector<std::int32_t> index(13);
        for (float y : run(*table, w, a, index, true, 1))
          CHECK(y == static_cast<float>(weight) * 127.0f * 64.0f * sign);
      }
    }
  }
}

TEST_CASE("the scalar twin is within rounding of float64") {
  for_each_integer_format([](const moe::FormatInfo& info) {
    CAPTURE(info.name);
    std::mt19937 rng(3);
    const std::int64_t k = 1024;
    const Weights w = random_weights(info.format, 8, k, rng);
    const Activations a = random_activations(4, k, rng);
    const std::vector<float> y = twin(w, a);
    std::vector<float> row(static_cast<std::size_t>(k));
    for (std::int64_t t = 0; t < a.count; ++t)
      for (std::size_t r = 0; r < w.rows.size(); ++r) {
        moe::decode_row(w.format, w.rows[r].data(), k, row.data());
        double exact = 0.0, magnitude = 0.0;
        for (std::int64_t b = 0; b < k / 32; ++b) {
          const auto block = moe::reference::read_weight_block(w.format, w.rows[r].data(), b);
          const auto scale = moe::reference::block_scale(w.format, block);
          for (std::size_t i = 0; i < 32; ++i) {
            const auto at = static_cast<std::size_t>(t * k + 32 * b) + i;
            const double x = static_cast<double>(a.scales[at / 32]) * a.codes[at];
            exact += row[static_cast<std::size_t>(32 * b) + i] * x;
            // What the chain adds up before minimums cancel.
            const double sc = std::max(1, std::abs(int{block.sc[i / 16]}));
            magnitude += (std::fabs(scale.d) * sc *
                              std::abs(moe::reference::integer_weight(w.format, block, static_cast<int>(i))) +
                          std::fabs(scale.m) * std::max(1, std::abs(int{block.mn[i / 16]}))) *
                         std::fabs(x);
          }
        }
        const double bound = (2.0 * static_cast<double>(k) / 32 + 8) * 0x1p-24 * magnitude + 1e-30;
        CHECK(std::fabs(y[static_cast<std::size_t>(t) * w.rows.size() + r] - exact) <= bound);
      }
  });
}

TEST_CASE("quantize_q8 gives the same bytes on every ISA") {
  std::mt19937 rng(1);
  std::vector<float> x;
  std::normal_distribution<float> normal;
  for (float scale : {1.0f, 1e-20f, 0x1p-100f, 0x1p-101f, 1e-38f, 1e30f, 0.0f})
    for (int i = 0; i < 32 * 40; ++i) x.push_back(normal(rng) * scale);
  for (int i = 0; i < 32; ++i) x.push_back(static_cast<float>(i) - 0.5f);  // with a = 127 below: ties
  x.back() = 127.0f;
  x.insert(x.end(), 32, 0x1p-100f);
  x.insert(x.end(), 32, std::nextafter(0x1p-100f, 0.0f));
  x.insert(x.end(), 32, -0.0f);
  Activations expected{1, static_cast<std::int64_t>(x.size()), x, {}, {}, {}};
  expected.quantize();
  for (std::size_t b = 0; b < x.size() / 32; ++b) {  // the twin against its definition in double
    for (std::size_t i = 0; i < 32; ++i)
      CHECK(std::fabs(expected.codes[32 * b + i] * static_cast<double>(expected.scales[b]) - x[32 * b + i]) <=
            0.5001 * static_cast<double>(expected.scales[b]) + 0x1p-100);
  }
  for (const KernelTable* table : tables_under_test()) {
    CAPTURE(table->isa);
    Activations got = expected;
    std::fill(got.codes.begin(), got.codes.end(), std::int8_t{99});
    table->quantize_q8(x.data(), static_cast<std::int64_t>(x.size()), got.codes.data(), got.scales.data(),
                       got.sums.data());
    CHECK(same_bits(got.codes, expected.codes));
    CHECK(same_bits(got.scales, expected.scales));
    CHECK(same_bits(got.sums, expected.sums));
  }
}

// Formats whose scales serve groups of columns: packing loses nothing, and every table gives the bits of the definition
// in detail/reference, whatever the groups.

#include <numeric>

#include "gemm_case.hpp"
#include "moe/detail/reference/scaled_row.hpp"

using namespace moe_test;

namespace {

struct Case {
  Format format;
  std::int64_t rows, k;
  Groups groups;
  std::vector<std::int32_t> of_column;

  Groups owned() const {
    Groups g = groups;
    g.of_column = of_column.empty() ? nullptr : of_column.data();
    return g;
  }
};

struct ScaledWeights {
  const Case& c;
  std::vector<std::vector<std::byte>> rows;
  std::vector<std::byte> packed;

  std::int64_t panel_count() const { return (c.rows + kPanelRows - 1) / kPanelRows; }
  Panels panels() const { return {packed.data(), panel_bytes(c.format, c.k, c.owned()), c.rows, c.k, c.owned()}; }
};

/// Every code but e4m3's NaNs; blocks of it with small codes only; scales of both signs, also subnormal ones and zero.
std::vector<std::byte> random_scaled_row(const Case& c, std::mt19937& rng) {
  std::vector<std::byte> row(static_cast<std::size_t>(moe::reference::scaled_row_bytes(c.format, c.k, c.groups)));
  const auto codes = static_cast<std::size_t>(moe::row_bytes(c.format, c.k));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<std::byte>(rng() & 255u);
  unsigned limit = 0x7f;
  for (std::size_t i = 0; i < codes && c.format == Format::e4m3; ++i) {
    if (i % 32 == 0) limit = rng() % 2 == 0 ? 0x7f : 1 + rng() % 0x7f;
    row[i] = static_cast<std::byte>((rng() & 0x80u) | rng() % limit);
  }
  for (std::size_t i = row.size() - static_cast<std::size_t>(c.groups.count);
       c.format == Format::int4 && c.groups.zeros && i < row.size(); ++i)
    row[i] = static_cast<std::byte>(rng() % 17);
  for (std::int64_t g = 0; g < c.groups.count; ++g) {
    const float sizes[] = {0.01f, -0.3f, 1e-5f, 0x1p-24f, 0.0f, 0.7f};
    const float scale = sizes[rng() % 6] * static_cast<float>(1 + rng() % 1000) / 1000.0f;
    const std::uint16_t bits = c.groups.scale == Format::f16 ? moe::float_to_f16(scale) : moe::float_to_bf16(scale);
    const std::size_t size = c.groups.scale == Format::f32 ? 4 : 2;
    std::memcpy(row.data() + codes + static_cast<std::size_t>(g) * size,
                size == 4 ? static_cast<const void*>(&scale) : &bits, size);
  }
  return row;
}

ScaledWeights random_scaled(const Case& c, std::mt19937& rng) {
  ScaledWeights w{c, {}, {}};
  for (std::int64_t r = 0; r < c.rows; ++r) w.rows.push_back(random_scaled_row(c, rng));
  const std::int64_t bytes = panel_bytes(c.format, c.k, c.owned());
  w.packed.resize(static_cast<std::size_t>(bytes * w.panel_count()));
  for (std::int64_t p = 0; p < w.panel_count(); ++p) {
    const std::byte* of_panel[kPanelRows] = {};
    for (std::int64_t r = p * kPanelRows; r < c.rows && r < (p + 1) * kPanelRows; ++r)
      of_panel[r - p * kPanelRows] = w.rows[static_cast<std::size_t>(r)].data();
    pack_panel(c.format, c.k, of_panel, w.packed.data() + p * bytes, c.owned());
  }
  return w;
}

std::int64_t groups_of(std::int64_t k, std::int64_t columns) { return (k + columns - 1) / columns; }

/// Groups of every size, ragged ones, one for all; shifted ones (e4m3); in no order (int4, int8).
template <class Visit>
void for_each_case(Visit visit) {
  for (const moe::FormatInfo& info : moe::kScaledFormats) {
    const bool e4m3 = info.format == Format::e4m3;
    for (const std::int64_t k :
         e4m3 ? std::vector<std::int64_t>{1, 77, 300, 1056} : std::vector<std::int64_t>{32, 96, 672})
      for (const std::int64_t columns :
           e4m3 ? std::vector<std::int64_t>{1, 40, 128, k} : std::vector<std::int64_t>{32, 64, 96, 128, k})
        for (const Format scale : {Format::f32, Format::f16, Format::bf16}) {
          if (e4m3 && scale != Format::f32) continue;
          for (const bool zeros : {false, true}) {
            if (e4m3 && zeros) continue;
            for (const std::int64_t rows : {1, 21, 70}) {
              Case c{info.format, rows, k, {columns, 0, groups_of(k, columns), nullptr, scale, zeros}, {}};
              visit(c);
              if (e4m3) {
                c.groups.phase = columns / 2;
                c.groups.count = groups_of(k + c.groups.phase, columns);
                visit(c);
              }
            }
          }
        }
  }
}

void name_case(const Case& c) {
  MESSAGE(moe::name_of(c.format) << " rows " << c.rows << " k " << c.k << " columns " << c.groups.columns << " phase "
                                 << c.groups.phase << " scale " << moe::name_of(c.groups.scale) << " zeros "
                                 << c.groups.zeros);
}

/// gemm_f32 of every table against one chain of fma over the decoded row.
bool float_products_match(const Case& c, std::mt19937& rng) {
  const ScaledWeights w = random_scaled(c, rng);
  const std::int64_t tokens = 14;
  const Activations a = random_activations(tokens, c.k, rng);
  std::vector<float> row(static_cast<std::size_t>(c.k)), unpacked(row),
      expected(static_cast<std::size_t>(tokens * c.rows));
  bool good = true;
  for (std::int64_t r = 0; r < c.rows; ++r) {
    const std::byte* stored = w.rows[static_cast<std::size_t>(r)].data();
    good = good && row_is_valid(c.format, c.k, stored, c.owned());
    moe::reference::decode_scaled_row(c.format, c.owned(), stored, c.k, row.data());
    unpack_row(c.format, w.panels(), r, unpacked.data());
    good = good && same_bits(row, unpacked);
    for (std::int64_t t = 0; t < tokens; ++t)
      expected[static_cast<std::size_t>(t * c.rows + r)] =
          moe::reference::dot_f32(row.data(), c.k, &a.x[static_cast<std::size_t>(t * c.k)]);
  }
  std::vector<float> scratch(static_cast<std::size_t>(gemm_f32_scratch(c.format, c.k)));
  for (const KernelTable* table : tables_under_test())
    for (const std::int64_t count : {1, 2, 4, 6, 7, 12, 14}) {
      std::vector<float> y(static_cast<std::size_t>(count * c.rows), -77.0f);
      GemmF32 g{w.panels(), a.x.data(), c.k, nullptr, count, y.data(), c.rows, 0, w.panel_count(), scratch.data()};
      table->gemm_f32[static_cast<std::size_t>(c.format)](g);
      good = good && same_bits(y, std::vector<float>(expected.begin(), expected.begin() + count * c.rows));
    }
  return good;
}

/// One output by the definition.
float scaled_output(const Case& c, const std::vector<std::byte>& stored, const Activations& a, std::int64_t token) {
  const moe::reference::ScaledRow row(c.format, c.groups, stored.data(), c.k);
  float acc = 0.0f;
  for (std::int64_t b = 0; b < c.k / 32; ++b) {
    const std::int64_t group = c.groups.of(32 * b);
    std::uint8_t codes[32];
    for (int i = 0; i < 32; ++i) codes[i] = static_cast<std::uint8_t>(row.code(32 * b + i));
    float d = row.scale(group);
    std::int32_t zero = row.zero(group);
    if (c.format == Format::e4m3) {
      const int width = moe::reference::e4m3_width(&stored[static_cast<std::size_t>(32 * b)]);
      moe::reference::e4m3_block(&stored[static_cast<std::size_t>(32 * b)], width, codes);
      d *= moe::reference::e4m3_unit(width);
      zero = 128;
    }
    acc =
        moe::reference::add_scaled_block(acc, codes, d, zero, &a.codes[static_cast<std::size_t>(token * c.k + 32 * b)],
                                         a.scales[static_cast<std::size_t>(token * c.k / 32 + b)]);
  }
  return acc;
}

/// gemm_q8 of every table against the scalar definition.
bool integer_products_match(const Case& c, std::mt19937& rng) {
  const ScaledWeights w = random_scaled(c, rng);
  const std::int64_t tokens = 40;
  const Activations a = random_activations(tokens, c.k, rng);
  std::vector<float> expected;
  for (std::int64_t t = 0; t < tokens; ++t)
    for (const auto& stored : w.rows) expected.push_back(scaled_output(c, stored, a, t));
  bool good = true;
  const auto at = static_cast<std::size_t>(c.format);
  for (const KernelTable* table : tables_under_test())
    for (const std::int64_t count : {1, 2, 3, 5, 7, 9, 11, 12, 25, 36, 40}) {
      const int most = table->q8_tile_tokens[at];
      // What is not filled is a NaN.
      std::vector<std::byte> tiles(static_cast<std::size_t>(tiles_bytes(count, most, c.k)), std::byte{0xff});
      table->fill_q8[at]({a.q8(), nullptr, count, most, 0, split_tiles(count, most).count, tiles.data()});
      std::vector<float> y(static_cast<std::size_t>(count * c.rows), -77.0f);
      table->gemm_q8[at]({w.panels(), tiles.data(), count, y.data(), c.rows, 0, w.panel_count(), nullptr});
      good = good && same_bits(y, std::vector<float>(expected.begin(), expected.begin() + count * c.rows));
    }
  return good;
}

}  // namespace

TEST_CASE("scaled formats times float32 give the chain's bits on every ISA") {
  std::mt19937 rng(1);
  for_each_case([&](const Case& c) {
    const bool good = float_products_match(c, rng);
    if (!good) name_case(c);
    CHECK(good);
    if (c.format == Format::e4m3) return;
    Case shuffled = c;  // groups in no order: each column says its own
    for (std::int64_t i = 0; i < c.k; ++i)
      shuffled.of_column.push_back(static_cast<std::int32_t>(rng() % static_cast<std::uint64_t>(c.groups.count)));
    CHECK(float_products_match(shuffled, rng));
  });
}

TEST_CASE("scaled integer formats times q8g32 give the scalar definition's bits on every ISA") {
  std::mt19937 rng(2);
  for_each_case([&](const Case& c) {
    if (c.k % 32 != 0 || !c.groups.whole_blocks()) return;  // multiplies float32 only
    const bool good = integer_products_match(c, rng);
    if (!good) name_case(c);
    CHECK(good);
  });
}

TEST_CASE("scaled formats: codes that are NaN, scales and zero points that are too large are refused") {
  std::mt19937 rng(3);
  for_each_case([&](const Case& c) {
    const std::vector<std::byte> row = random_scaled_row(c, rng);
    const auto codes = static_cast<std::size_t>(moe::row_bytes(c.format, c.k));
    CHECK(row_is_valid(c.format, c.k, row.data(), c.owned()));
    if (c.format == Format::e4m3)
      for (const std::byte nan : {std::byte{0x7f}, std::byte{0xff}}) {
        std::vector<std::byte> bad = row;
        bad[rng() % codes] = nan;
        CHECK_FALSE(row_is_valid(c.format, c.k, bad.data(), c.owned()));
      }
    if (c.format == Format::int4 && c.groups.zeros) {
      std::vector<std::byte> bad = row;
      bad[bad.size() - 1 - rng() % static_cast<std::size_t>(c.groups.count)] = std::byte{17};
      CHECK_FALSE(row_is_valid(c.format, c.k, bad.data(), c.owned()));
    }
    if (c.groups.scale != Format::f32) return;
    for (const float scale : {0x1p119f, -0x1p119f, 0x1p127f, std::nanf(""), -HUGE_VALF}) {
      std::vector<std::byte> bad = row;
      std::memcpy(bad.data() + codes + 4 * (rng() % static_cast<std::uint64_t>(c.groups.count)), &scale, 4);
      CHECK_FALSE(row_is_valid(c.format, c.k, bad.data(), c.owned()));
    }
  });
}

TEST_CASE("e4m3 blocks: the integers are the codes, rounded to the eighth bit of the largest") {
  std::mt19937 rng(4);
  for (int i = 0; i < 2000; ++i) {
    std::byte codes[32];
    const unsigned limit = 1 + rng() % 0x7f;
    double largest = 0;
    for (std::byte& code : codes) {
      code = static_cast<std::byte>((rng() & 0x80u) | rng() % limit);
      largest = std::max(largest, std::fabs(double{moe::quant::decode_e4m3(code)}));
    }
    const double unit = largest == 0 ? 4 : std::exp2(std::floor(std::log2(largest)) - 6);
    const int width = moe::reference::e4m3_width(codes);
    CHECK(double{moe::reference::e4m3_unit(width)} == unit);
    std::uint8_t integers[32];
    moe::reference::e4m3_block(codes, width, integers);
    bool good = true;
    for (int j = 0; j < 32; ++j) {
      const double value = double{moe::quant::decode_e4m3(codes[j])}, integer = integers[j] - 128.0;
      good = good && integer == std::nearbyint(value / unit) && std::fabs(integer) <= 120;
      if (std::fabs(value) >= 8 * unit) good = good && integer * unit == value;
    }
    CHECK(good);
  }
}

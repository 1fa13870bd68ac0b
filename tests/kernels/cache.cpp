// store_cache rounds as hardware does, and every table gives the twin's bits.

#include "moe/detail/reference/cache.hpp"

#include <cmath>

#include "tables.hpp"

// The compiler's own half precision, where it has one in C++.
#if defined(__aarch64__)
#define MOE_TEST_HALF __fp16
#elif defined(__FLT16_MANT_DIG__)
#define MOE_TEST_HALF _Float16
#endif

using namespace moe;
using namespace moe_test;
using kernels::KernelTable;

namespace {

/// Floats around every value of a 16-bit format: each code, the midpoint to the next one, and the neighbours of both.
template <class Widen>
std::vector<float> around_codes(Widen&& widen) {
  std::vector<float> x;
  for (std::uint32_t code = 0; code < 0x10000u; ++code) {
    const float v = widen(static_cast<std::uint16_t>(code));
    if (!std::isfinite(v)) continue;
    const float next = widen(static_cast<std::uint16_t>(code + 1u));
    x.push_back(v);
    x.push_back(std::nextafter(v, 1e30f));
    x.push_back(std::nextafter(v, -1e30f));
    if ((code & 0x7fffu) == 0x7fffu || !std::isfinite(next)) continue;
    const auto middle = static_cast<float>((static_cast<double>(v) + next) / 2);
    x.push_back(middle);
    x.push_back(std::nextafter(middle, 1e30f));
    x.push_back(std::nextafter(middle, -1e30f));
  }
  for (float v : {65504.0f, 65519.99f, 65520.0f, 65536.0f, 1e38f, 3.4e38f, 1e-45f, 0x1p-25f, 0x1.8p-25f, 0x1p-26f,
                  std::numeric_limits<float>::infinity()}) {
    x.push_back(v);
    x.push_back(-v);
  }
  return x;
}

std::vector<std::uint16_t> stored(const KernelTable& table, KvType type, const std::vector<float>& x) {
  std::vector<std::uint16_t> out(x.size());
  table.store_cache(type, x.data(), static_cast<std::int64_t>(x.size()), out.data(), 1);
  return out;
}

}  // namespace

TEST_CASE("f16: nearest even around every code, as the compiler's own half precision") {
  const std::vector<float> x = around_codes(f16_to_float);
  std::vector<std::uint16_t> expected(x.size());
  reference::store_cache(KvType::f16, x.data(), static_cast<std::int64_t>(x.size()), expected.data(), 1);
#ifdef MOE_TEST_HALF
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(x[i]);
    REQUIRE(expected[i] == std::bit_cast<std::uint16_t>(static_cast<MOE_TEST_HALF>(x[i])));
  }
#else
  report_skip("f16 against the compiler's half", "this compiler has none");
#endif
  for (const KernelTable* table : all_tables()) {
    CAPTURE(table->isa);
    CHECK(same_bits(expected, stored(*table, KvType::f16, x)));
  }
}

TEST_CASE("bf16: nearest even around every code") {
  const std::vector<float> x = around_codes(bf16_to_float);
  std::vector<std::uint16_t> expected(x.size());
  reference::store_cache(KvType::bf16, x.data(), static_cast<std::int64_t>(x.size()), expected.data(), 1);
  for (std::size_t i = 0; i < x.size(); ++i) {
    // Of the two neighbours the nearer one, the even one on a tie: decided in double, where distances are exact.
    const auto below = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(x[i]) >> 16);
    const auto above = static_cast<std::uint16_t>(below + 1u);
    if (!std::isfinite(x[i]) || !std::isfinite(bf16_to_float(above))) continue;
    const double down = std::abs(static_cast<double>(x[i]) - bf16_to_float(below));
    const double up = std::abs(static_cast<double>(bf16_to_float(above)) - x[i]);
    const bool take_above = up < down || (up == down && (below & 1u) != 0);
    CAPTURE(x[i]);
    REQUIRE(expected[i] == (take_above ? above : below));
  }
  for (const KernelTable* table : all_tables()) {
    CAPTURE(table->isa);
    CHECK(same_bits(expected, stored(*table, KvType::bf16, x)));
  }
}

TEST_CASE("rows of any length and transposed keys; nothing else is written") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes)
      for (std::int64_t stride : {1, 64})
        for (KvType type : {KvType::f32, KvType::f16, KvType::bf16}) {
          CAPTURE(table->isa);
          CAPTURE(n);
          const std::vector<float> x = with_nan_tail(random_row(n, 21));
          std::vector<std::uint32_t> expected(static_cast<std::size_t>(n * stride + 16), 0xABABABABu), found = expected;
          reference::store_cache(type, x.data(), n, expected.data(), stride);
          table->store_cache(type, x.data(), n, found.data(), stride);
          CHECK(same_bits(expected, found));
        }
}

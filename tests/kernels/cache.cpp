// store_cache rounds as hardware does and q8_0 within its bound, and every table gives the twin's bits.

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
  table.store_cache({type, CacheOrder::rows, x.data(), static_cast<std::int64_t>(x.size()), out.data(), 0});
  return out;
}
std::vector<std::uint16_t> stored_by_twin(KvType type, const std::vector<float>& x) {
  std::vector<std::uint16_t> out(x.size());
  reference::store_cache({type, CacheOrder::rows, x.data(), static_cast<std::int64_t>(x.size()), out.data(), 0});
  return out;
}

/// A block of 64 positions in bytes that no row fills by chance, with some behind it.
std::vector<std::uint32_t> untouched_block(KvType type, std::int64_t n) {
  return std::vector<std::uint32_t>(static_cast<std::size_t>(kKeyBlock * kv_bytes(type, n) / 4 + 16), 0xABABABABu);
}

/// Rows of special values for q8_0: its limits, and what no scale can stand for.
std::vector<std::vector<float>> special_rows() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(), kNaN = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::vector<float>> rows;
  for (const float largest : {0.0f, 1e-45f, 0x1p-126f, 127 * 0x1p-26f, 127 * 0x1p-25f, 127 * 0x1.8p-24f, 127 * 0x1p-14f,
                              0.3f, 127.0f, 127 * 65504.0f, 127 * 65519.0f, 127 * 65520.0f, 3.4e38f, kInfinity, kNaN})
    for (const std::int64_t at : {0, 17, 33}) {
      std::vector<float> row = random_row(45, 3, 1e-3f);
      if (largest < 1.0f)
        for (float& x : row) x *= largest;
      row[static_cast<std::size_t>(at)] = at == 17 ? -largest : largest;
      rows.push_back(row);
    }
  // Every half between two codes, and its neighbours: a is 127 and the scale 1.
  std::vector<float> halves = {127.0f};
  for (int code = -127; code < 127; ++code)
    for (const float to : {-1e30f, 0.0f, 1e30f}) {
      if (halves.size() % 32 == 0) halves.push_back(127.0f);
      const float half = static_cast<float>(code) + 0.5f;
      halves.push_back(to == 0.0f ? half : std::nextafter(half, to));
    }
  rows.push_back(halves);
  return rows;
}

}  // namespace

TEST_CASE("f16: nearest even around every code, as the compiler's own half precision") {
  const std::vector<float> x = around_codes(f16_to_float);
  const std::vector<std::uint16_t> expected = stored_by_twin(KvType::f16, x);
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
  const std::vector<std::uint16_t> expected = stored_by_twin(KvType::bf16, x);
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

TEST_CASE("q8_0: within half a scale, as the contract says, and what is not finite stays an error") {
  for (const std::vector<float>& x : special_rows()) {
    const auto n = static_cast<std::int64_t>(x.size());
    std::vector<std::uint32_t> block = untouched_block(KvType::q8_0, n);
    reference::store_cache({KvType::q8_0, CacheOrder::rows, x.data(), n, block.data(), 3});
    for (std::int64_t begin = 0; begin < n; begin += 32) {
      const std::int64_t end = std::min<std::int64_t>(n, begin + 32);
      double a = 0.0;
      bool finite = true;
      for (std::int64_t i = begin; i < end; ++i) {
        const float v = x[static_cast<std::size_t>(i)];
        finite = finite && std::isfinite(v);
        a = std::max(a, std::abs(static_cast<double>(v)));
      }
      finite = finite && static_cast<float>(a) / 127.0f < 65520.0f;
      const std::int64_t at = kKeyBlock * n + 2 * (3 * kv_scales(n) + begin / 32);
      std::uint16_t stored;
      std::memcpy(&stored, reinterpret_cast<const std::byte*>(block.data()) + at, sizeof stored);
      const double scale = f16_to_float(stored);
      CHECK(std::isfinite(scale) == finite);
      if (finite) CHECK(std::abs(scale - a / 127) <= std::max(a / 127 * 0x1.01p-11, 0x1.01p-25));
      for (std::int64_t i = begin; i < end; ++i) {
        const float v = x[static_cast<std::size_t>(i)];
        const float found = reference::load_cache(KvType::q8_0, CacheOrder::rows, block.data(), n, 3, i);
        CAPTURE(v);
        CAPTURE(scale);
        REQUIRE(std::isfinite(found) == finite);
        // Multiplying by the rounded inverse of the scale moves a value by less than a code times 2^-23.
        if (finite) REQUIRE(std::abs(found - v) <= scale * (0.5 + 127 * 0x1p-23) + std::max(0.0, a - 127 * scale));
        if (finite && scale == 1.0) REQUIRE(found == std::nearbyint(v));
      }
    }
    for (const KernelTable* table : all_tables()) {
      CAPTURE(table->isa);
      std::vector<std::uint32_t> found = untouched_block(KvType::q8_0, n);
      table->store_cache({KvType::q8_0, CacheOrder::rows, x.data(), n, found.data(), 3});
      CHECK(same_bits(block, found));
    }
  }
}

TEST_CASE("rows of any length and transposed keys; nothing else is written") {
  for (const KernelTable* table : all_tables())
    for (std::int64_t n : kRowSizes)
      for (CacheOrder order : {CacheOrder::rows, CacheOrder::columns})
        for (KvType type : kKvTypes)
          for (std::int64_t slot : {0, 1, 62, 63}) {
            CAPTURE(table->isa);
            CAPTURE(n);
            CAPTURE(name_of(type));
            const std::vector<float> x = with_nan_tail(random_row(n, 21));
            std::vector<std::uint32_t> expected = untouched_block(type, n), found = expected;
            reference::store_cache({type, order, x.data(), n, expected.data(), slot});
            table->store_cache({type, order, x.data(), n, found.data(), slot});
            CHECK(same_bits(expected, found));
            int changed = 0;
            const auto* bytes = reinterpret_cast<const std::uint8_t*>(expected.data());
            for (std::size_t i = 0; i < 4 * expected.size(); ++i) changed += bytes[i] != 0xABu;
            CHECK(changed <= kv_bytes(type, n));
          }
}

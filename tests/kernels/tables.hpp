#pragma once
// Every table this CPU runs, for tests that compare them with the scalar twin.

#include <limits>
#include <random>
#include <span>
#include <vector>

#include "kernels/table.hpp"
#include "support.hpp"

namespace moe_test {

inline std::span<const moe::kernels::KernelTable* const> all_tables() {
  int count = 0;
  const moe::kernels::KernelTable* const* tables = moe::kernels::runnable_tables(count);
  REQUIRE_MESSAGE(count > 0, "no kernel table runs here, not even the scalar one");
  return {tables, static_cast<std::size_t>(count)};
}

inline std::vector<float> random_row(std::int64_t n, std::uint64_t seed, float scale = 1.0f) {
  std::mt19937_64 random(seed * 1000003u + static_cast<std::uint64_t>(n));
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = normal(random);
  return x;
}

/// The row with `pad` NaN after its end: a kernel that reads or writes past the end shows up.
inline std::vector<float> with_nan_tail(std::vector<float> x, std::size_t pad = 16) {
  x.insert(x.end(), pad, std::numeric_limits<float>::quiet_NaN());
  return x;
}

/// Around the 16 lanes, around two rows of lanes, and model widths.
inline constexpr std::int64_t kRowSizes[] = {1,  2,  3,  7,  8,  9,  15, 16,  17,   31,
                                             32, 33, 47, 48, 63, 64, 65, 127, 1000, 2048};

}  // namespace moe_test

#pragma once
// CPython's random.Random: MT19937 seeded by init_by_array, 53-bit random(), choices(), sample().

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

class MOE_API PythonRandom {
 public:
  explicit PythonRandom(std::uint64_t seed);
  std::uint32_t next32() { return static_cast<std::uint32_t>(engine_()); }
  /// random(): uniform in [0, 1).
  double next_double();
  /// An index as random.choices() draws it.
  std::size_t next_index(std::size_t count) {
    return static_cast<std::size_t>(next_double() * static_cast<double>(count));
  }

  /// The indices that sample(range(population), count) draws, in its order. Needs count <= population < 2^32.
  std::vector<std::size_t> sample(std::size_t population, std::size_t count);

 private:
  std::uint32_t below(std::uint32_t limit);
  std::mt19937 engine_;
};

}  // namespace moe::inline MOE_ABI::eval

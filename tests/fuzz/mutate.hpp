#pragma once
// Seeded damage to files, and a limit on the time that a loop of it may take.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <random>
#include <string>

namespace moe_test {

/// Damages one to four places: bits, bytes, numbers as headers hold them, pieces cut out or doubled, the end cut off.
inline std::string mutate(std::string bytes, std::mt19937_64& random, std::size_t header_bytes) {
  const auto below = [&random](std::size_t n) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(n, 1));
  };
  constexpr std::uint64_t kNumbers[] = {0,
                                        1,
                                        2,
                                        0x7f,
                                        0xff,
                                        0xffff,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        std::uint64_t{1} << 40,
                                        std::uint64_t{1} << 62,
                                        std::uint64_t{1} << 63,
                                        ~std::uint64_t{0},
                                        ~std::uint64_t{0} - 31};
  for (std::size_t times = 1 + below(4); times > 0 && !bytes.empty(); --times) {
    const std::size_t at = below(std::min(header_bytes, bytes.size()));
    const std::size_t length = std::min(1 + below(24), bytes.size() - at);
    switch (below(7)) {
      case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8))); break;
      case 1: bytes[at] = static_cast<char>(random()); break;
      case 2:
      case 3: {
        const std::uint64_t number = kNumbers[below(std::size(kNumbers))] + below(3);
        std::memcpy(bytes.data() + at, &number, std::min<std::size_t>(below(2) == 0 ? 4 : 8, bytes.size() - at));
        break;
      }
      case 4: bytes.erase(at, length); break;
      case 5: bytes.insert(at, bytes.substr(below(bytes.size()), length)); break;
      default: below(4) == 0 ? bytes.resize(at) : bytes.resize(bytes.size() - below(64) % bytes.size()); break;
    }
  }
  return bytes;
}

/// Stops a loop when its share of the time is over; the sanitizers are some ten times slower.
class Budget {
 public:
  explicit Budget(double seconds)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}
  bool left() const { return Clock::now() < end_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

}  // namespace moe_test

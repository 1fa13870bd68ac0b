#pragma once
// Energy of processors and memory, by RAPL: of the whole machine, not of this process.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Source: Linux, Documentation/power/powercap/powercap.rst. Counts `package-N` zones and their `dram` zones; `psys`
/// and the `core` zones are parts or sums of them, `intel-rapl-mmio` shows the same packages once more.
class EnergyMeter {
 public:
  /// Begins to measure. `root` is a prefix of all paths ("": the real ones).
  explicit EnergyMeter(const std::string& root = {});

  /// Call at least every few minutes: counters wrap around after about 260 kJ, and two wraps between calls would be
  /// missed. Reads a clock, and every ten seconds a few small files.
  void tick();

  /// Since the beginning; none without counters or if one is unreadable (since Linux 5.10 only root may read them).
  std::optional<double> joules();

 private:
  struct Counter {
    std::string file;
    std::uint64_t range = 0;  ///< microjoules at which it starts again
    std::uint64_t last = 0;
  };
  void sample();

  std::vector<Counter> counters_;
  double microjoules_ = 0;
  bool is_whole_ = true;  ///< every reading so far succeeded
  std::chrono::steady_clock::time_point sampled_ = {};
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Energy that the processors and their memory used, by RAPL. It is the whole machine's, not this process's.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Source: Linux, Documentation/power/powercap/powercap.rst. Counts `package-N` zones and their `dram` zones; `psys` and
/// the `core` zones are parts or sums of them, `intel-rapl-mmio` shows the same packages once more.
class EnergyMeter {
 public:
  /// Begins to measure. `root` stands before every path that is read ("" reads the system's own).
  explicit EnergyMeter(const std::string& root = {});

  /// To be called at least every few minutes: a counter starts again at zero after some 260 kJ, and two such turns
  /// between two calls cannot be told from one. Costs a look at the clock, every ten seconds a few small files.
  void tick();

  /// Since the beginning; none where there is no counter or one of them could not be read (since Linux 5.10 only root
  /// may).
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

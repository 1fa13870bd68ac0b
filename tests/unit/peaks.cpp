// Measuring the machine's peaks ends soon after Ctrl-C, whatever is being measured.

#include "bench/peaks.hpp"

#include <functional>

#include "support.hpp"

TEST_CASE("every measurement asks whether it was cancelled, and ends then") {
  const std::vector<std::function<bool(const std::function<bool()>&)>> measurements = {
      [](const std::function<bool()>& cancelled) {
        const auto found = moe_bench::measure_peaks(1, cancelled);
        return !found && found.error().code == moe::ErrorCode::cancelled;
      },
      [](const std::function<bool()>& cancelled) {
        const auto found = moe_bench::measure_read_bandwidth(1, cancelled);
        return !found && found.error().code == moe::ErrorCode::cancelled;
      }};
  for (const auto& measure : measurements)
    for (const int after : {1, 3}) {  // the last repetition of the first figure
      CAPTURE(after);
      int asked = 0;
      CHECK(measure([&] { return ++asked == after; }));
      CHECK(asked == after);
    }
}

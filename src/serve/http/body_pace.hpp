#pragma once
// How slowly a body may arrive.

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve::http {

/// A body must come at 1 KiB/s, but may pause for ten seconds. What came faster is no credit for a longer pause, with
/// which a silent client would hold the memory of a large body for hours.
class BodyPace {
 public:
  using Clock = std::chrono::steady_clock;

  BodyPace() = default;
  explicit BodyPace(Clock::time_point began) : deadline_(began + kPause) {}
  /// `bytes` of it have arrived so far.
  void see(std::size_t bytes, Clock::time_point now) {
    const std::chrono::duration<double> earned(static_cast<double>(bytes - seen_) / kBytesPerSecond);
    seen_ = bytes;
    deadline_ = std::min(deadline_ + std::chrono::duration_cast<Clock::duration>(earned), now + kPause);
  }
  /// When it is too slow, unless more of it arrives before.
  Clock::time_point deadline() const { return deadline_; }

 private:
  static constexpr Clock::duration kPause = std::chrono::seconds(10);
  static constexpr double kBytesPerSecond = 1024;
  Clock::time_point deadline_ = {};
  std::size_t seen_ = 0;
};

}  // namespace moe::inline MOE_ABI::serve::http

#pragma once
// A progress line on stderr.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "moe/model.hpp"

namespace cli {

/// "1:02:05", "0:07".
std::string duration_text(double seconds);

/// On a terminal one line, rewritten at most ten times a second. In a file a line for each `file_interval` that passes.
class ProgressLine {
 public:
  explicit ProgressLine(std::string_view label, std::chrono::milliseconds file_interval = std::chrono::seconds(30));
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// `note` follows the percentage, e.g. the current task.
  void update(moe::Progress p, std::string_view note = {});
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  std::chrono::milliseconds file_interval_;
  bool is_terminal_ = false, drawn_ = false;
  std::int64_t first_ = -1;
  Clock::time_point start_ = Clock::now(), last_ = start_;
};

}  // namespace cli

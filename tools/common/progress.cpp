#include "tools/common/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "support/show.hpp"

namespace cli {

std::string duration_text(double seconds) {
  const auto s = static_cast<long long>(std::clamp(seconds, 0.0, 3.6e6) + 0.5);
  char text[32];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

// A line that wraps cannot be erased.
ProgressLine::ProgressLine(std::string_view label, std::chrono::milliseconds file_interval)
    : label_(moe::shortened(label, 36)), file_interval_(file_interval), is_terminal_(isatty(STDERR_FILENO) == 1) {}

void ProgressLine::update(moe::Progress p, std::string_view note) {
  if (p.total <= 0) return;
  const auto now = Clock::now();
  // Work before the first call (of a continued run) does not count for the speed.
  if (first_ < 0) first_ = std::min(p.done, p.total);
  if (is_terminal_ ? drawn_ && now - last_ < std::chrono::milliseconds(100) : now - last_ < file_interval_) return;
  last_ = now;
  drawn_ = is_terminal_;
  const double share = std::clamp(static_cast<double>(p.done) / static_cast<double>(p.total), 0.0, 1.0);
  const double spent = std::chrono::duration<double>(now - start_).count();
  const double left =
      static_cast<double>(p.total - p.done) / static_cast<double>(std::max(p.done - first_, std::int64_t{1}));
  const std::string eta = p.done > first_ ? duration_text(spent * left) + " left" : std::string("...");
  std::fprintf(stderr, "%s%s %3.0f%%  %s  %s%s", is_terminal_ ? "\r\x1b[K" : "", label_.c_str(), 100.0 * share,
               eta.c_str(), moe::shortened(note, 36).c_str(), is_terminal_ ? "" : "\n");
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace cli

#pragma once
// Counts and times of requests, and their text for Prometheus.

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "serve/http/server.hpp"
#include "serve/job.hpp"

namespace moe::inline MOE_ABI::serve::api {

class Histogram {
 public:
  void observe(double seconds);
  /// Lines of one histogram in text format 0.0.4.
  void write(std::string& out, std::string_view name, std::string_view labels) const;

 private:
  static constexpr std::array<double, 14> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                  0.25,  0.5,    1,     2.5,  5,     10,   60};
  std::array<std::int64_t, kBounds.size() + 1> counts_ = {};
  std::int64_t count_ = 0;
  double sum_ = 0;
};

/// Any thread may call it.
class Metrics {
 public:
  enum class Time { first_token, between_tokens, request, queue };
  void observe(Time which, double seconds);
  void count_answer(int status);
  void count_reply(std::string_view finish_reason);

  struct Now {
    Counters counters;
    http::Gauges http;
  };
  /// `alias`: "vllm", "llamacpp" or empty.
  std::string text(const Now& now, std::string_view model_name, std::string_view alias) const;

 private:
  mutable std::mutex mutex_;
  std::array<Histogram, 4> times_;
  std::map<int, std::int64_t> answers_;
  std::map<std::string, std::int64_t, std::less<>> replies_;
};

}  // namespace moe::inline MOE_ABI::serve::api

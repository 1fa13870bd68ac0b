#pragma once
// Counts and times of requests, and their text for Prometheus.

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "serve/api/errors.hpp"
#include "serve/http/server.hpp"
#include "serve/job.hpp"

namespace moe::inline MOE_ABI::serve::api {

class Histogram {
 public:
  /// `bounds` are ascending and must outlive this; at most kMostBounds.
  explicit Histogram(std::span<const double> bounds) : bounds_(bounds) {}
  void observe(double value);
  /// Lines of one histogram in text format 0.0.4.
  void write(std::string& out, std::string_view name, std::string_view help, std::string_view labels) const;

 private:
  static constexpr std::size_t kMostBounds = 14;
  std::span<const double> bounds_;
  std::array<std::int64_t, kMostBounds + 1> counts_ = {};
  std::int64_t count_ = 0;
  double sum_ = 0;
};

/// Any thread may call it.
class Metrics {
 public:
  enum class Measure { first_token, between_tokens, request, queue, step, step_tokens };
  Metrics();
  void observe(Measure which, double value);
  void count_answer(int status);
  void count_reply(std::string_view finish_reason);
  /// A request that ends with this error, even if part of its answer was sent.
  void count_refusal(const ApiError& error);

  struct Now {
    Counters counters;
    http::Gauges http;
  };
  /// `alias`: "vllm", "llamacpp" or empty.
  std::string text(const Now& now, std::string_view model_name, std::string_view alias) const;

 private:
  void write_histograms(std::string& out, std::string_view labels, std::string_view alias) const;

  mutable std::mutex mutex_;  // of what follows
  std::array<Histogram, 6> histograms_;
  std::map<int, std::int64_t> answers_;
  std::map<std::string, std::int64_t, std::less<>> replies_, refusals_;
};

}  // namespace moe::inline MOE_ABI::serve::api

#include "serve/api/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace moe::inline MOE_ABI::serve::api {
namespace {

// Text format 0.0.4 escapes these three in the value of a label.
std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

struct Writer {
  std::string& out;
  std::string labels;  // model_name="..."

  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  }
  template <class Value>
  void line(std::string_view name, std::string_view more, Value value) {
    fmt::format_to(std::back_inserter(out), "{}{{{}{}}} {}\n", name, labels, more, value);
  }
  template <class Value>
  void gauge(std::string_view name, std::string_view help, Value value) {
    head(name, "gauge", help);
    line(name, "", value);
  }
  template <class Value>
  void counter(std::string_view name, std::string_view help, Value value) {
    head(name, "counter", help);
    line(name, "", value);
  }
};

double cache_usage(const Counters& c) {
  return c.cache_tokens > 0 ? static_cast<double>(c.cache_tokens_used) / static_cast<double>(c.cache_tokens) : 0.0;
}

void write_counters(Writer& w, const Counters& c) {
  w.gauge("moe_requests_running", "Replies that are being written.", c.running);
  w.gauge("moe_requests_waiting", "Replies that wait for room.", c.waiting);
  w.gauge("moe_requests_paused", "Replies whose reader does not keep up.", c.paused);
  w.gauge("moe_cache_usage_ratio", "Part of the key/value cache that is held.", cache_usage(c));
  w.gauge("moe_cache_tokens", "Room of the key/value cache.", c.cache_tokens);
  w.counter("moe_preemptions_total", "Replies that made room and were computed again.", c.preemptions);
  w.counter("moe_prompt_tokens_total", "Tokens of prompts.", c.prompt_tokens);
  w.counter("moe_prompt_tokens_cached_total", "Of those, found in the cache.", c.reused_tokens);
  w.counter("moe_generation_tokens_total", "Tokens of replies.", c.reply_tokens);
  w.counter("moe_steps_total", "Steps of the model.", c.steps);
  w.counter("moe_step_tokens_total", "Tokens computed in steps.", c.step_tokens);
  w.counter("moe_cancelled_total", "Jobs whose client left.", c.cancelled);
  w.counter("moe_flops_total", "Floating-point operations executed, exact.", c.flops);
  w.counter("moe_flops_saved_total", "Floating-point operations that the prefix index made unnecessary.",
            c.flops_saved);
}

void write_vllm(Writer& w, const Counters& c) {
  w.gauge("vllm:num_requests_running", "moe_requests_running", c.running);
  w.gauge("vllm:num_requests_waiting", "moe_requests_waiting", c.waiting);
  w.gauge("vllm:kv_cache_usage_perc", "moe_cache_usage_ratio", cache_usage(c));
  w.counter("vllm:num_preemptions_total", "moe_preemptions_total", c.preemptions);
  w.counter("vllm:prompt_tokens_total", "moe_prompt_tokens_total", c.prompt_tokens);
  w.counter("vllm:prefix_cache_queries_total", "moe_prompt_tokens_total", c.prompt_tokens);
  w.counter("vllm:prefix_cache_hits_total", "moe_prompt_tokens_cached_total", c.reused_tokens);
  w.counter("vllm:generation_tokens_total", "moe_generation_tokens_total", c.reply_tokens);
}

void write_llamacpp(Writer& w, const Counters& c) {
  w.gauge("llamacpp:requests_processing", "moe_requests_running", c.running);
  w.gauge("llamacpp:requests_deferred", "moe_requests_waiting", c.waiting);
  w.counter("llamacpp:prompt_tokens_total", "moe_prompt_tokens_total", c.prompt_tokens);
  w.counter("llamacpp:prompt_tokens_cached_total", "moe_prompt_tokens_cached_total", c.reused_tokens);
  w.counter("llamacpp:tokens_predicted_total", "moe_generation_tokens_total", c.reply_tokens);
  w.counter("llamacpp:n_decode_total", "moe_steps_total", c.steps);
}

}  // namespace

void Histogram::observe(double seconds) {
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  ++count_;
  sum_ += seconds;
}

void Histogram::write(std::string& out, std::string_view name, std::string_view labels) const {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "# HELP {0} Seconds.\n# TYPE {0} histogram\n", name);
  std::int64_t below = 0;
  for (std::size_t i = 0; i < kBounds.size(); ++i)
    fmt::format_to(to, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, kBounds[i], below += counts_[i]);
  fmt::format_to(to, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, count_);
  fmt::format_to(to, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, sum_, count_);
}

void Metrics::observe(Time which, double seconds) {
  const std::lock_guard lock(mutex_);
  times_[static_cast<std::size_t>(which)].observe(seconds);
}
void Metrics::count_answer(int status) {
  const std::lock_guard lock(mutex_);
  ++answers_[status];
}
void Metrics::count_reply(std::string_view finish_reason) {
  const std::lock_guard lock(mutex_);
  ++replies_[std::string(finish_reason)];
}

std::string Metrics::text(const Now& now, std::string_view model_name, std::string_view alias) const {
  std::string out;
  Writer w{out, fmt::format("model_name=\"{}\"", label_value(model_name))};
  write_counters(w, now.counters);
  w.gauge("moe_connections", "Open connections.", now.http.connections);
  w.gauge("moe_output_bytes_held", "Bytes that wait for clients to read them.", now.http.output_bytes);
  const std::lock_guard lock(mutex_);
  w.head("moe_requests_total", "counter", "Replies by their finish_reason.");
  for (const auto& entry : replies_)
    w.line("moe_requests_total", fmt::format(",finished_reason=\"{}\"", entry.first), entry.second);
  w.head("moe_http_responses_total", "counter", "Answers by their status; 499: the client left.");
  for (const auto& entry : answers_)
    w.line("moe_http_responses_total", fmt::format(",code=\"{}\"", entry.first), entry.second);
  const std::string_view own[] = {"moe_time_to_first_token_seconds", "moe_inter_token_latency_seconds",
                                  "moe_request_latency_seconds", "moe_queue_seconds"};
  const std::string_view vllm[] = {"vllm:time_to_first_token_seconds", "vllm:inter_token_latency_seconds",
                                   "vllm:e2e_request_latency_seconds", "vllm:request_queue_time_seconds"};
  for (std::size_t i = 0; i < times_.size(); ++i) times_[i].write(out, own[i], w.labels);
  if (alias == "llamacpp") write_llamacpp(w, now.counters);
  if (alias != "vllm") return out;
  write_vllm(w, now.counters);
  for (std::size_t i = 0; i < times_.size(); ++i) times_[i].write(out, vllm[i], w.labels);
  w.head("vllm:request_success_total", "counter", "moe_requests_total");
  for (const auto& entry : replies_)
    w.line("vllm:request_success_total", fmt::format(",finished_reason=\"{}\"", entry.first), entry.second);
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api

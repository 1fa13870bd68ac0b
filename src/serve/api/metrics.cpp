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
  std::string labels;  // model_name="...", or none

  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
  }
  template <class Value>
  void line(std::string_view name, std::string_view more, Value value) {
    if (labels.empty() && more.empty())
      fmt::format_to(std::back_inserter(out), "{} {}\n", name, value);
    else
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

constexpr std::array<double, 14> kSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};
constexpr std::array<double, 12> kTokens{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096};

struct HistogramName {
  std::string_view own, vllm, vllm_of_old, help;
};
// By Metrics::Measure.
constexpr std::array<HistogramName, 6> kHistograms{{
    {"moe_time_to_first_token_seconds", "vllm:time_to_first_token_seconds", "",
     "Seconds from a request to the first token of a reply."},
    {"moe_inter_token_latency_seconds", "vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds",
     "Seconds between tokens of a reply."},
    {"moe_request_latency_seconds", "vllm:e2e_request_latency_seconds", "",
     "Seconds from the head of a request to the last byte of its answer."},
    {"moe_queue_seconds", "vllm:request_queue_time_seconds", "", "Seconds that a prompt waits before it is run."},
    {"moe_step_seconds", "", "", "Seconds of a step of the model."},
    {"moe_step_tokens", "vllm:iteration_tokens_total", "", "Tokens computed in a step of the model."},
}};

double ratio(double of, double to) { return to > 0 ? of / to : 0.0; }

double cache_usage(const Counters& c) {
  return ratio(static_cast<double>(c.cache_tokens_used), static_cast<double>(c.cache_tokens));
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
  w.counter("moe_cancelled_total", "Prompts given up because the client left or the time was over.", c.cancelled);
  w.counter("moe_flops_total", "Floating-point operations executed, exact.", c.flops);
  w.counter("moe_flops_saved_total", "Floating-point operations that the prefix index made unnecessary.",
            c.flops_saved);
}

void write_vllm(Writer& w, const Counters& c) {
  w.gauge("vllm:num_requests_running", "As moe_requests_running.", c.running);
  w.gauge("vllm:num_requests_waiting", "As moe_requests_waiting.", c.waiting);
  w.gauge("vllm:kv_cache_usage_perc", "As moe_cache_usage_ratio.", cache_usage(c));
  w.gauge("vllm:gpu_cache_usage_perc", "As moe_cache_usage_ratio.", cache_usage(c));
  w.counter("vllm:num_preemptions_total", "As moe_preemptions_total.", c.preemptions);
  w.counter("vllm:prompt_tokens_total", "As moe_prompt_tokens_total.", c.prompt_tokens);
  w.counter("vllm:prefix_cache_queries_total", "As moe_prompt_tokens_total.", c.prompt_tokens);
  w.counter("vllm:prefix_cache_hits_total", "As moe_prompt_tokens_cached_total.", c.reused_tokens);
  w.counter("vllm:generation_tokens_total", "As moe_generation_tokens_total.", c.reply_tokens);
}

// As in llama-server: no labels, and a maximum with the type counter.
void write_llamacpp(std::string& out, const Counters& c) {
  Writer w{out, {}};
  const auto prompts = static_cast<double>(c.step_prompt_tokens);
  const auto replies = static_cast<double>(c.step_tokens - c.step_prompt_tokens);
  w.counter("llamacpp:prompt_tokens_total", "Tokens of prompts, without those found in the cache.",
            c.prompt_tokens - c.reused_tokens);
  w.counter("llamacpp:prompt_tokens_cached_total", "As moe_prompt_tokens_cached_total.", c.reused_tokens);
  w.counter("llamacpp:prompt_seconds_total",
            "Seconds of steps for prompts: those of a step divided by its tokens of prompts and of replies.",
            c.prompt_seconds);
  w.counter("llamacpp:tokens_predicted_total", "As moe_generation_tokens_total.", c.reply_tokens);
  w.counter("llamacpp:tokens_predicted_seconds_total",
            "Seconds of steps for replies: those of a step divided by its tokens of prompts and of replies.",
            c.reply_seconds);
  w.counter("llamacpp:n_decode_total", "As moe_steps_total.", c.steps);
  w.counter("llamacpp:n_tokens_max", "Tokens of the longest prompt with its reply since the start, a maximum.",
            c.longest_sequence);
  for (const std::string_view name : {"num_draft_tokens", "num_accepted_tokens", "num_drafts"})
    w.counter(fmt::format("llamacpp:spec_decode_{}_total", name), "Always 0: no tokens are drafted.", 0);
  w.gauge("llamacpp:prompt_tokens_seconds",
          "Tokens of prompts, and of what is computed again, per second of prompt_seconds_total.",
          ratio(prompts, c.prompt_seconds));
  w.gauge(
      "llamacpp:predicted_tokens_seconds",
      "Tokens of replies computed per second of tokens_predicted_seconds_total; the first of a reply costs no step.",
      ratio(replies, c.reply_seconds));
  w.gauge("llamacpp:requests_processing", "As moe_requests_running.", c.running);
  w.gauge("llamacpp:requests_deferred", "As moe_requests_waiting.", c.waiting);
  w.gauge("llamacpp:n_busy_slots_per_decode", "Prompts and replies in a step, on average.",
          ratio(static_cast<double>(c.step_sequences), static_cast<double>(c.steps)));
}

}  // namespace

void Histogram::observe(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  ++count_;
  sum_ += value;
}

void Histogram::write(std::string& out, std::string_view name, std::string_view help, std::string_view labels) const {
  auto to = std::back_inserter(out);
  fmt::format_to(to, "# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  std::int64_t below = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i)
    fmt::format_to(to, "{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bounds_[i], below += counts_[i]);
  fmt::format_to(to, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, count_);
  fmt::format_to(to, "{0}_sum{{{1}}} {2}\n{0}_count{{{1}}} {3}\n", name, labels, sum_, count_);
}

Metrics::Metrics()
    : histograms_{Histogram(kSeconds), Histogram(kSeconds), Histogram(kSeconds),
                  Histogram(kSeconds), Histogram(kSeconds), Histogram(kTokens)} {}

void Metrics::observe(Measure which, double value) {
  const std::lock_guard lock(mutex_);
  histograms_[static_cast<std::size_t>(which)].observe(value);
}
void Metrics::count_answer(int status) {
  const std::lock_guard lock(mutex_);
  ++answers_[status];
}
void Metrics::count_reply(std::string_view finish_reason) {
  const std::lock_guard lock(mutex_);
  ++replies_[std::string(finish_reason)];
}
void Metrics::count_refusal(const ApiError& error) {
  const std::lock_guard lock(mutex_);
  ++refusals_[error.code.empty() ? std::to_string(error.status) : error.code];
}

void Metrics::write_histograms(std::string& out, std::string_view labels, std::string_view alias) const {
  for (std::size_t i = 0; i < histograms_.size(); ++i) {
    const HistogramName& name = kHistograms[i];
    histograms_[i].write(out, name.own, name.help, labels);
    if (alias != "vllm") continue;
    for (const std::string_view other : {name.vllm, name.vllm_of_old})
      if (!other.empty()) histograms_[i].write(out, other, name.help, labels);
  }
}

std::string Metrics::text(const Now& now, std::string_view model_name, std::string_view alias) const {
  std::string out;
  Writer w{out, fmt::format("model_name=\"{}\"", label_value(model_name))};
  write_counters(w, now.counters);
  w.gauge("moe_connections", "Open connections.", now.http.connections);
  w.gauge("moe_input_bytes_held", "Bytes of requests that arrive or are worked on.", now.http.input_bytes);
  w.gauge("moe_output_bytes_held", "Bytes that wait for clients to read them.", now.http.output_bytes);
  if (alias == "llamacpp") write_llamacpp(out, now.counters);
  if (alias == "vllm") write_vllm(w, now.counters);
  const std::lock_guard lock(mutex_);
  write_histograms(out, w.labels, alias);
  const auto by_label = [&](std::string_view name, std::string_view label, std::string_view help, const auto& counts) {
    w.head(name, "counter", help);
    for (const auto& entry : counts) w.line(name, fmt::format(",{}=\"{}\"", label, entry.first), entry.second);
  };
  by_label("moe_requests_total", "finished_reason", "Replies by their finish_reason.", replies_);
  if (alias == "vllm") by_label("vllm:request_success_total", "finished_reason", "As moe_requests_total.", replies_);
  by_label("moe_http_responses_total", "code", "Answers by their status; 499: the client left.", answers_);
  by_label("moe_rejected_total", "reason", "Requests that ended with an error, by its code.", refusals_);
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api

#pragma once
// A scheduler over a fake engine, and the jobs that its tests give it.

#include "serve_support.hpp"

namespace moe_test {

struct Setting {
  SchedulerOptions options = {};
  std::int64_t pages = 64;
  FakeModel model = {};
  double max_step_ms = 0;  ///< what is composed does not depend on the time
};

/// A scheduler over a fake engine, and the sinks of what was submitted.
struct Server {
  explicit Server(const Setting& s = {}) : tokenizer(serve_tokenizer()), model(s.model) {
    model.tokenizer = tokenizer.get();
    auto made = std::make_unique<FakeEngine>(model, s.pages);
    engine = made.get();
    SchedulerOptions options = s.options;
    options.max_step_ms = s.max_step_ms;
    auto created = Scheduler::create(std::move(made), options);
    REQUIRE_MESSAGE(created.has_value(), created.error().message);
    scheduler = std::move(*created);
  }
  std::shared_ptr<RecordingSink> submit(const Job& job) {
    auto sink = std::make_shared<RecordingSink>(job);
    const auto id = scheduler->submit(job, sink);
    REQUIRE_MESSAGE(id.has_value(), id.error().message);
    last = *id;
    return sink;
  }
  /// check() refuses the same, but for what depends on other jobs.
  std::string refusal(const Job& job) {
    const auto id = scheduler->submit(job, std::make_shared<RecordingSink>(job));
    REQUIRE(!id.has_value());
    const moe::ErrorCode code = id.error().code;
    const auto checked = scheduler->check(job);
    CHECK(checked.has_value() == (code == moe::ErrorCode::out_of_memory || code == moe::ErrorCode::cancelled));
    if (!checked) CHECK(checked.error().message == id.error().message);
    return std::string(name_of(code)) + ": " + id.error().message;
  }
  void finish() {
    while (scheduler->step()) {
    }
    CHECK(scheduler->is_empty());
  }
  /// Tokens that the engine ran for it.
  std::int64_t cost(const Job& job) {
    const std::int64_t before = engine->tokens_run;
    const auto sink = submit(job);
    finish();
    CHECK(sink->answer == answer_alone(model, job, job.options.max_tokens));
    return engine->tokens_run - before;
  }

  SharedTokenizer tokenizer;
  FakeModel model;
  FakeEngine* engine = nullptr;
  std::unique_ptr<Scheduler> scheduler;
  JobId last = 0;
};

inline std::vector<TokenId> words(std::uint64_t seed, std::size_t count) {
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>("ab "[(seed = mix(seed + 1)) % 3]);
  return ids;
}
inline std::vector<TokenId> operator+(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Job job_of(std::vector<TokenId> prompt, std::int64_t max_tokens) {
  Job job;
  job.prompt = std::move(prompt);
  job.options.max_tokens = max_tokens;
  job.options.end_tokens = moe::EndTokens::ignore;
  return job;
}
inline Job owned(std::string owner, std::vector<TokenId> prompt, std::int64_t max_tokens) {
  Job job = job_of(std::move(prompt), max_tokens);
  job.owner = std::move(owner);
  return job;
}
inline Job score_of(std::vector<TokenId> prompt, std::int64_t best = 1, std::int64_t max_tokens = 1) {
  Job job = job_of(std::move(prompt), max_tokens);
  job.score_prompt = best;
  return job;
}

}  // namespace moe_test

#pragma once
// Checks new jobs: those that can never be served are refused here, in the caller's thread.

#include "moe/serve.hpp"
#include "serve/job_record.hpp"
#include "serve/step_engine.hpp"

namespace moe::inline MOE_ABI::serve {

/// What does not change while the scheduler runs.
struct Limits {
  std::int64_t context = 0;
  std::int64_t cache_pages = 0;
  std::int64_t vocab_size = 0;
  std::int64_t max_sequences = 0;
  const Tokenizer* tokenizer = nullptr;
};

/// Errors: bad_argument, or unsupported for more replies than run at one time, naming what was found and what was
/// expected.
Result<void> check_job(const Job& job, const Limits& limits);
/// Errors: the same; bad_argument where the sink is null.
Result<std::unique_ptr<JobRecord>> take_in(Job job, std::shared_ptr<JobSink> sink, const Limits& limits);

}  // namespace moe::inline MOE_ABI::serve

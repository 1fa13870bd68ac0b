#pragma once
// The interface between the network side and the scheduler; neither uses anything else of the other.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "moe/generate.hpp"

namespace moe::inline MOE_ABI::serve {

/// One prompt and its replies. Results do not depend on when it runs or on other jobs.
struct Job {
  std::vector<TokenId> prompt = {};  ///< at least one; ids inside the vocabulary
  /// `replies` to the prompt, which is computed once; reply i draws with seed_of_reply(seed, i). `max_tokens` may be 0
  /// with `score_prompt`: nothing is written then. `on_piece` and `cancelled` stay empty.
  GenerateOptions options = {};
  std::int64_t min_tokens = 0;  ///< end tokens and stop texts are disabled until a reply has so many tokens
  /// Log-probabilities of the prompt's tokens, each with this many top tokens.
  std::optional<std::int64_t> score_prompt = {};
  std::string owner = {};  ///< whose request it is; prefill slices take turns between owners
};

using JobId = std::uint64_t;

/// Receives the events of a job. Called by the scheduler's thread, in this order: on_admitted once, on_prompt_scores
/// once where asked for, on_piece as often as there is text or a token, on_end once per reply; then on_finished once.
/// Or, at any point, on_failed once and nothing afterwards. May pause and resume jobs, calls nothing else of the
/// scheduler, and must not block.
class JobSink {
 public:
  virtual ~JobSink() = default;
  /// The job was admitted and its first tokens run next.
  virtual void on_admitted() {}
  /// One entry per prompt token but the first; scores[i] is of prompt[i + 1].
  virtual void on_prompt_scores(std::vector<PositionLogProbabilities> /*scores*/) {}
  /// Text is empty where bytes are held back; `scores` are of `tokens`, where asked for.
  virtual void on_piece(std::size_t /*reply*/, std::string_view /*text*/, std::span<const TokenId> /*tokens*/,
                        std::span<const PositionLogProbabilities> /*scores*/) {}
  /// The whole reply: its text is that of all pieces.
  virtual void on_end(std::size_t /*reply*/, const Generation& /*reply_written*/) {}
  /// All of it has been counted.
  virtual void on_finished() {}
  /// Errors: cancelled (drained), out_of_memory, those of Session::step.
  virtual void on_failed(const Error& /*error*/) {}
};

/// Counters since the start, and current values. Exact FLOPs as in Session::executed().
struct Counters {
  std::int64_t running = 0, waiting = 0, paused = 0;     ///< replies now
  std::int64_t cache_tokens_used = 0, cache_tokens = 0;  ///< pages held now, and all, times kPageTokens
  std::int64_t prompt_tokens = 0, reused_tokens = 0, reply_tokens = 0;
  std::int64_t steps = 0, step_tokens = 0, step_sequences = 0, preemptions = 0, cancelled = 0;
  /// Of step_tokens those of prompts, and of replies that are computed again after a preemption.
  std::int64_t step_prompt_tokens = 0;
  /// The time of each step is divided between prompts and replies in proportion to their tokens.
  double prompt_seconds = 0, reply_seconds = 0;
  std::int64_t longest_sequence = 0;        ///< tokens
  std::int64_t flops = 0, flops_saved = 0;  ///< executed; saved by the prefix index, in closed form
};

/// Accepts jobs from one thread (the network's) while another one runs them.
class JobQueue {
 public:
  virtual ~JobQueue() = default;
  /// Any thread. What submit() refuses whatever else runs. Errors: bad_argument (can never be served: the prompt and
  /// its limit do not fit context or cache, naming both; an id or a setting is out of its range), unsupported for more
  /// replies than run at one time.
  virtual Result<void> check(const Job& job) const = 0;
  /// Any thread. The sink must live until on_finished or on_failed is called. Errors: those of check(), out_of_memory
  /// when the queue is full, cancelled when the server is shutting down.
  virtual Result<JobId> submit(Job job, std::shared_ptr<JobSink> sink) = 0;
  /// Any thread. Takes effect before the next step; then the sink is never called again. Unknown ids are ignored.
  virtual void cancel(JobId id) = 0;
  /// Any thread. Pauses a job with a slow reader before the next step: its replies leave the batch, and keep their
  /// sequences if possible, until resume.
  virtual void pause(JobId id) = 0;
  virtual void resume(JobId id) = 0;
  virtual Counters counters() const = 0;
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// How the scheduler uses cache and time. None of it changes a bit of an answer.

#include <cstdint>
#include <optional>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve {

struct SchedulerOptions {
  std::int64_t batch_tokens = 512;  ///< computed in a step: a token of each reply that is being written, then prompts
  std::int64_t max_sequences = 64;  ///< replies that run at one time
  std::int64_t max_queue = 256;     ///< jobs that wait
  std::int64_t logit_memory = std::int64_t{128}
                              << 20;  ///< bytes: bounds the positions of a step with logits; two may always have them
  /// Tokens that earlier prompts and replies may hold beyond what running ones use. 0: nothing is kept. Unset: half of
  /// the cache.
  std::optional<std::int64_t> prefix_cache_tokens = {};
  /// Among so many waiting jobs of an owner the one that shares most with what is cached goes first; none is passed over
  /// more often than this. 0: first come, first served.
  std::int64_t reorder_window = 64;
  /// While replies are being written, prompts get at most so many tokens that a step takes about this long. 0: no limit.
  std::int64_t max_step_ms = 200;
  bool isolate_owners = false;  ///< owners do not share what is kept: the time of an answer tells nobody of another's
};

}  // namespace moe::inline MOE_ABI::serve

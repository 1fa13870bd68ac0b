#include "moe/score.hpp"

#include <fmt/format.h>

#include "c/buffers.hpp"
#include "c/session_call.hpp"

using moe::ErrorCode;
using moe::Result;

namespace {

// Runs body(scorer), and resets a cancellation that ended it.
template <class Body>
Result<void> with_scorer(moe_session& s, Body&& body) {
  s.last = {};
  if (!s.scorer) {
    auto scorer = moe::Scorer::create(*s.session);
    if (!scorer) return moe::forward(scorer);
    s.scorer.emplace(std::move(*scorer));
  }
  Result<void> done = body(*s.scorer);
  if (!done && done.error().code == ErrorCode::cancelled) s.cancel.store(false, std::memory_order_relaxed);
  return done;
}

}  // namespace

moe_status moe_score(moe_session* session, const char* context, int64_t context_length,
                     const char* const* continuations, const int64_t* lengths, int64_t count, double* log_likelihoods,
                     int32_t* is_greedy, int64_t* token_counts, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto text = moe::c::read_text(context, context_length, "context");
    if (!text) return moe::forward(text);
    const auto texts = moe::c::read_texts(continuations, lengths, count, "continuations");
    if (!texts) return moe::forward(texts);
    if (log_likelihoods == nullptr && count > 0) return moe::c::null_argument("log_likelihoods");
    return with_scorer(s, [&](moe::Scorer& scorer) -> Result<void> {
      const auto scores = scorer.score(*text, *texts);
      if (!scores) return moe::forward(scores);
      for (std::size_t i = 0; i < scores->size(); ++i) {
        const moe::Score& score = (*scores)[i];
        log_likelihoods[i] = score.log_likelihood;
        if (is_greedy != nullptr) is_greedy[i] = score.is_greedy ? 1 : 0;
        if (token_counts != nullptr) token_counts[i] = score.tokens;
      }
      return {};
    });
  });
}

moe_status moe_score_text(moe_session* session, const char* text, int64_t text_length, double* log_likelihood,
                          int64_t* token_count, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto given = moe::c::read_text(text, text_length, "text");
    if (!given) return moe::forward(given);
    if (log_likelihood == nullptr) return moe::c::null_argument("log_likelihood");
    if (token_count == nullptr) return moe::c::null_argument("token_count");
    return with_scorer(s, [&](moe::Scorer& scorer) -> Result<void> {
      const auto score = scorer.score_text(*given);
      if (!score) return moe::forward(score);
      *log_likelihood = score->log_likelihood;
      *token_count = score->tokens;
      return {};
    });
  });
}

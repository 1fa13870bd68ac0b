#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "c/buffers.hpp"
#include "c/session_call.hpp"
#include "c/structs.hpp"
#include "generate/log_probabilities.hpp"
#include "support/log_softmax.hpp"

using moe::ErrorCode;
using moe::Result;

namespace {

Result<void> check_logits(const moe_session& session) {
  if (session.last.logits == nullptr)
    return moe::fail(ErrorCode::not_found, "the session has no logits, expected a step");
  return {};
}

Result<std::span<const float>> read_row(const float* row, std::int64_t vocab_size, std::int64_t token_count) {
  if (row == nullptr) return moe::c::null_argument("row");
  if (vocab_size < 1 || vocab_size > std::numeric_limits<std::int32_t>::max() || token_count < 1 ||
      token_count > vocab_size)
    return moe::fail(
        ErrorCode::bad_argument,
        fmt::format("vocab_size is {} and token_count is {}, expected at least one token and not more than "
                    "logits",
                    vocab_size, token_count));
  return std::span(row, static_cast<std::size_t>(vocab_size));
}

}  // namespace

moe_status moe_session_logits(moe_session* session, moe_logits_view* view, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    const auto out = moe::c::StructOut<moe_logits_view>::create(view, "moe_logits_view");
    if (!out) return moe::forward(out);
    if (auto ok = check_logits(s); !ok) return ok;
    moe_logits_view v{};
    v.values = s.last.logits.get();
    v.row_count = s.last.row_count;
    v.vocab_size = s.last.vocab_size;
    v.token_count = s.last.token_count;
    out->write(v);
    return {};
  });
}

moe_status moe_session_logits_retain(moe_session* session, moe_logits** logits, moe_error* error) {
  return moe::c::enter_session(session, error, [&](moe_session& s) -> Result<void> {
    if (logits == nullptr) return moe::c::null_argument("logits");
    if (auto ok = check_logits(s); !ok) return ok;
    *logits = new moe_logits{s.last.logits};
    return {};
  });
}

void moe_logits_release(moe_logits* logits) { delete logits; }

moe_status moe_logprobs(const float* row, int64_t vocab_size, int64_t token_count, const int32_t* ids, int64_t id_count,
                        double* out, int64_t top_count, int32_t* top_ids, double* top, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto logits = read_row(row, vocab_size, token_count);
    if (!logits) return moe::forward(logits);
    const auto wanted = moe::c::read_list(ids, id_count, "ids");
    if (!wanted) return moe::forward(wanted);
    if (out == nullptr && id_count > 0) return moe::c::null_argument("out");
    if (top_count < 0 || top_count > std::min(token_count, moe::generate::kMostListed))
      return moe::fail(ErrorCode::bad_argument, fmt::format("top_count is {}, expected 0 to {}", top_count,
                                                            std::min(token_count, moe::generate::kMostListed)));
    if (top_count > 0 && (top_ids == nullptr || top == nullptr)) return moe::c::null_argument("top_ids or top");
    for (const std::int32_t id : *wanted)
      if (id < 0 || id >= vocab_size)
        return moe::fail(ErrorCode::bad_argument, fmt::format("an id is {}, expected 0 to {}", id, vocab_size - 1));
    const moe::RowSummary summary = moe::summarise(*logits);
    if (!std::isfinite(summary.log_sum))
      return moe::fail(ErrorCode::non_finite, "a logit is NaN or infinite, expected numbers");
    const auto listed =
        moe::generate::log_probabilities_of(*logits, static_cast<std::size_t>(token_count), 0, top_count);
    for (std::size_t i = 0; i < wanted->size(); ++i)
      out[i] = summary.log_probability((*logits)[static_cast<std::size_t>((*wanted)[i])]);
    for (std::size_t i = 0; i < listed.best.size(); ++i) {
      top_ids[i] = listed.best[i].token;
      top[i] = listed.best[i].log_probability;
    }
    return {};
  });
}

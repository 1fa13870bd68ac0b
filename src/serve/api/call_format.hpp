#pragma once
// The JSON of replies in /v1/completions and in /v1/chat/completions.

#include <string>
#include <string_view>

#include "serve/api/call.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// One choice of a whole answer or of an event.
struct ChoiceParts {
  std::size_t index = 0;
  std::string text = {};
  Json logprobs = nullptr;
  Json finish_reason = nullptr, stop_reason = nullptr, seed = nullptr;
};

/// "stop" or "length".
std::string_view finish_reason(EndReason reason);
/// The stop text or the id of the stop token that ended the reply; null for the model's own end tokens and the limit.
Json stop_reason(const Generation& reply, const ReplySettings& settings);

Json whole_choice(const CallPlan& plan, ChoiceParts parts);
/// `is_first`: the first event of this choice; `ends`: the last one.
Json event_choice(const CallPlan& plan, ChoiceParts parts, bool is_first);

struct Usage {
  std::int64_t prompt = 0, reply = 0, cached = 0;
  std::int64_t flops = 0;
  double prompt_seconds = 0, reply_seconds = 0;
};
Json usage_json(const Usage& usage, bool include_work);

/// An answer without choices and usage.
struct Envelope {
  std::string id, model, fingerprint;
  std::int64_t created = 0;
};
Json envelope_json(const Envelope& envelope, const CallPlan& plan, bool is_event);

}  // namespace moe::inline MOE_ABI::serve::api

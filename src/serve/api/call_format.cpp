#include "serve/api/call_format.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::serve::api {

std::string_view finish_reason(EndReason reason) {
  return reason == EndReason::end_token || reason == EndReason::stop_text ? "stop" : "length";
}

Json stop_reason(const Generation& reply, const ReplySettings& settings) {
  if (reply.end == EndReason::stop_text) return reply.stop;
  const auto& ids = settings.options.stop_tokens;
  if (reply.end == EndReason::end_token && !reply.tokens.empty() &&
      std::find(ids.begin(), ids.end(), reply.tokens.back()) != ids.end())
    return reply.tokens.back();
  return nullptr;
}

Json whole_choice(const CallPlan& plan, ChoiceParts parts) {
  Json out = {{"index", parts.index}};
  if (plan.is_chat)
    out["message"] = {{"role", "assistant"}, {"content", std::move(parts.text)}};
  else
    out["text"] = std::move(parts.text);
  out["logprobs"] = std::move(parts.logprobs);
  out["finish_reason"] = std::move(parts.finish_reason);
  out["stop_reason"] = std::move(parts.stop_reason);
  out["seed"] = std::move(parts.seed);
  return out;
}

Json event_choice(const CallPlan& plan, ChoiceParts parts, bool is_first) {
  const bool ends = !parts.finish_reason.is_null();
  Json out = {{"index", parts.index}};
  if (!plan.is_chat) {
    out["text"] = std::move(parts.text);
  } else if (is_first) {
    out["delta"] = {{"role", "assistant"}, {"content", nullptr}};
  } else {
    out["delta"] = Json::object();
    if (!ends || !parts.text.empty()) out["delta"]["content"] = std::move(parts.text);
  }
  out["logprobs"] = std::move(parts.logprobs);
  out["finish_reason"] = std::move(parts.finish_reason);
  if (!ends) return out;
  out["stop_reason"] = std::move(parts.stop_reason);
  out["seed"] = std::move(parts.seed);
  return out;
}

Json usage_json(const Usage& usage, bool include_work) {
  Json out = {{"prompt_tokens", usage.prompt},
              {"completion_tokens", usage.reply},
              {"total_tokens", usage.prompt + usage.reply},
              {"prompt_tokens_details", {{"cached_tokens", usage.cached}}}};
  if (include_work)
    out["work"] = {
        {"flops", usage.flops}, {"prompt_seconds", usage.prompt_seconds}, {"reply_seconds", usage.reply_seconds}};
  return out;
}

Json envelope_json(const Envelope& envelope, const CallPlan& plan, bool is_event) {
  const char* object = !plan.is_chat ? "text_completion" : is_event ? "chat.completion.chunk" : "chat.completion";
  return {{"id", envelope.id},
          {"object", object},
          {"created", envelope.created},
          {"model", envelope.model},
          {"system_fingerprint", envelope.fingerprint}};
}

}  // namespace moe::inline MOE_ABI::serve::api

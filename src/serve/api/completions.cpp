// /v1/completions

#include <fmt/format.h>

#include "serve/api/endpoints.hpp"
#include "serve/api/prompts.hpp"
#include "serve/api/tables.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

constexpr std::int64_t kDefaultTokens = 16;  // OpenAI's
constexpr std::size_t kMostReplies = 1024;   // prompts times replies

Checked<CallPlan> completion_plan(const Fields& fields, const Context& context) {
  CallPlan plan;
  auto model = model_of(fields, context);
  if (!model) return pass_on(model);
  plan.model = std::move(*model);
  auto settings = read_reply_settings(fields, context, kDefaultTokens);
  if (!settings) return pass_on(settings);
  plan.settings = std::move(*settings);
  plan.echo = fields.flag("echo");
  if (*plan.settings.max_tokens == 0 && !plan.echo)
    return invalid("max_tokens", "max_tokens is 0, expected at least 1 without echo");
  if (fields.has("logprobs")) plan.logprobs = plan.settings.options.log_probabilities = fields.integer("logprobs");
  if (fields.has("best_of")) plan.best_of = static_cast<std::size_t>(fields.integer("best_of"));
  if (plan.best_of != 0 && plan.best_of < plan.settings.n)
    return invalid("best_of",
                   fmt::format("best_of is {}, expected at least n, which is {}", plan.best_of, plan.settings.n));
  if (plan.best_of > plan.settings.n && plan.settings.stream)
    return invalid("best_of", "best_of above n cannot be streamed: which replies are best is known at their end");
  auto prompts = read_prompts(fields, context, plan.settings.options.special_tokens);
  if (!prompts) return pass_on(prompts);
  plan.prompts = std::move(*prompts);
  if (plan.prompts.size() * std::max(plan.best_of, plan.settings.n) > kMostReplies)
    return invalid("n", fmt::format("the request asks for {} replies, expected at most {}",
                                    plan.prompts.size() * std::max(plan.best_of, plan.settings.n), kMostReplies));
  for (PromptPart& prompt : plan.prompts) {
    const std::size_t before = prompt.ids.size();
    if (auto ok = fit_prompt(prompt.ids, plan.settings, context.context_tokens); !ok) return pass_on(ok);
    if (prompt.ids.size() == before) continue;
    const auto cut = static_cast<std::ptrdiff_t>(before - prompt.ids.size());  // echo only what the model reads
    prompt.shown.erase(prompt.shown.begin(), prompt.shown.begin() + cut);
    prompt.echo.clear();
    for (const auto bytes : prompt.shown) prompt.echo += bytes;
  }
  if (auto ok = check_lists(plan, context); !ok) return pass_on(ok);
  plan.ignored = ignored_header(fields);
  return plan;
}

// Echoed text prompts with scores to which a BOS was added.
bool scores_added_bos(const Fields& fields, const CallPlan& plan, const Context& context) {
  const auto bos = context.tokenizer().bos();
  const auto prompt = fields.find("prompt");
  if (!plan.echo || !plan.logprobs || !bos || !prompt) return false;
  const bool is_text = prompt->is_string() || (prompt->is_array() && !prompt->empty() && prompt->front().is_string());
  const PromptPart& first = plan.prompts.front();
  return is_text && first.ids.front() == *bos && first.shown.front().empty();
}

}  // namespace

Checked<void> completions(Arrival& arrival) {
  const auto body = read_body(arrival.request.body);
  if (!body) return pass_on(body);
  const auto fields = Fields::check(body->root(), completions_table(), arrival.context.options.strict);
  if (!fields) return pass_on(fields);
  auto plan = completion_plan(*fields, arrival.context);
  if (!plan) return pass_on(plan);
  plan->owner = arrival.notes->owner;
  if (scores_added_bos(*fields, *plan, arrival.context)) {
    const std::lock_guard lock(arrival.notes->mutex);
    arrival.notes->has_scored_added_bos = true;
  }
  start_call(arrival.context, std::move(*plan), arrival.responder, arrival.notes);
  return {};
}

}  // namespace moe::inline MOE_ABI::serve::api

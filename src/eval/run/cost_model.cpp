#include "moe/eval/cost_model.hpp"

#include <algorithm>

#include "eval/run/reply_run.hpp"
#include "eval/run/request_plan.hpp"
#include "eval/run/score_run.hpp"
#include "moe/flops.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::int64_t context_of(const ModelConfig& config, const CostOptions& options) {
  return options.max_length > 0 ? std::min(options.max_length, config.max_position) : config.max_position;
}

// Every token of a node goes to top_k experts; a reply's tokens come one by one.
void add(const batch::TreePlan& plan, const ModelConfig& config, RunCost& cost) {
  const auto flops = [&](std::int64_t cached, std::int64_t tokens, std::int64_t rows) {
    return forward_work(config, cached, tokens, rows, MlaForm::absorbed).total();
  };
  cost.tokens += plan.passes.tokens;
  cost.least_cache_tokens = std::max(cost.least_cache_tokens, plan.least_pages * kPageTokens);
  for (const batch::PrefixNode& node : plan.nodes) {
    if (node.request < 0) {
      cost.computed_tokens += node.token_count();
      cost.flops += flops(node.begin, node.token_count(), node.row_count());
      continue;
    }
    cost.replies += 1;
    cost.reply_tokens += node.token_count();
    for (std::int64_t t = node.begin; t < node.end; ++t) cost.flops += flops(t, 1, 1);
  }
}

std::vector<Score> without_answers(std::vector<Score> scores) {
  for (Score& score : scores) score.log_likelihood = 0.0;
  return scores;
}

}  // namespace

CostModel::CostModel(const ModelConfig& config, std::shared_ptr<const Tokenizer> tokenizer, const CostOptions& options)
    : config_(config), tokenizer_(std::move(tokenizer)), options_(options) {}

Result<std::vector<Score>> CostModel::score(std::span<const ScoreRequest> requests, const Hooks& hooks) {
  auto encoded = encode_scores(*tokenizer_, requests, context_of(config_, options_), options_.threads, hooks);
  if (!encoded) return forward(encoded);
  cost_.requests += static_cast<std::int64_t>(requests.size());
  add(plan_scores(*encoded, {}), config_, cost_);
  return without_answers(std::move(encoded->scores));
}

Result<std::vector<Score>> CostModel::score_texts(std::span<const TextRequest> requests, const Hooks& hooks) {
  auto encoded = encode_texts(*tokenizer_, requests, context_of(config_, options_), options_.threads, hooks);
  if (!encoded) return forward(encoded);
  cost_.requests += static_cast<std::int64_t>(requests.size());
  add(plan_scores(encoded->windows, {}), config_, cost_);
  return without_answers(std::move(encoded->scores));
}

Result<std::vector<Generation>> CostModel::generate(std::span<const GenerateRequest> requests, const Hooks& hooks) {
  auto encoded = encode_contexts(*tokenizer_, requests, context_of(config_, options_), options_.threads, hooks);
  if (!encoded) return forward(encoded);
  cost_.requests += static_cast<std::int64_t>(requests.size());
  const std::int64_t before = cost_.computed_tokens;
  add(plan_replies(*encoded, requests, {}), config_, cost_);
  cost_.reply_prompt_tokens += cost_.computed_tokens - before;
  return std::move(encoded->replies);
}

}  // namespace moe::inline MOE_ABI::eval

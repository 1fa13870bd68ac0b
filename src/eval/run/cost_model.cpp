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

// What a SessionModel holds of requests beside their texts.
std::int64_t bytes_of(const batch::Inputs& inputs, const batch::TreePlan& plan) {
  constexpr std::int64_t kRequest = 512;  // the request, its targets, score and pass, with the heads of small vectors
  // Copies of the tree: up to 3 while its vector grows, then 2 (the plan's and the walk's).
  constexpr std::int64_t kTrees = 3;
  std::int64_t bytes = kRequest * static_cast<std::int64_t>(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (i == 0 || &inputs[i] != &inputs[i - 1])  // neighbours share their tokens
      bytes += static_cast<std::int64_t>(inputs[i].capacity() * sizeof(TokenId));
  return bytes + kTrees * static_cast<std::int64_t>(plan.nodes.size() * sizeof(batch::PrefixNode));
}

// Every token of a node goes to top_k experts; a reply's tokens come one by one.
void add(const batch::Inputs& inputs, const batch::TreePlan& plan, const ModelConfig& config, RunCost& cost) {
  const auto flops = [&](std::int64_t cached, std::int64_t tokens, std::int64_t rows) {
    return forward_work(config, cached, tokens, rows, MlaForm::absorbed).total();
  };
  cost.tokens += plan.passes.tokens;
  cost.least_cache_tokens = std::max(cost.least_cache_tokens, plan.least_pages * kPageTokens);
  cost.request_bytes = std::max(cost.request_bytes, bytes_of(inputs, plan));
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

batch::TreeLimits limits_of(const ModelConfig& config) { return {.long_rope = batch::long_rope_of(config)}; }

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
  add(encoded->inputs, plan_scores(*encoded, limits_of(config_)), config_, cost_);
  return without_answers(std::move(encoded->scores));
}

Result<std::vector<Score>> CostModel::score_texts(std::span<const TextRequest> requests, const Hooks& hooks) {
  auto encoded = encode_texts(*tokenizer_, requests, context_of(config_, options_), options_.threads, hooks);
  if (!encoded) return forward(encoded);
  cost_.requests += static_cast<std::int64_t>(requests.size());
  add(encoded->windows.inputs, plan_scores(encoded->windows, limits_of(config_)), config_, cost_);
  return without_answers(std::move(encoded->scores));
}

Result<std::vector<Generation>> CostModel::generate(std::span<const GenerateRequest> requests, const Hooks& hooks) {
  auto encoded = encode_contexts(*tokenizer_, requests, context_of(config_, options_), options_.threads, hooks);
  if (!encoded) return forward(encoded);
  cost_.requests += static_cast<std::int64_t>(requests.size());
  const std::int64_t before = cost_.computed_tokens;
  add(encoded->inputs, plan_replies(*encoded, requests, limits_of(config_)), config_, cost_);
  cost_.reply_prompt_tokens += cost_.computed_tokens - before;
  return std::move(encoded->replies);
}

}  // namespace moe::inline MOE_ABI::eval

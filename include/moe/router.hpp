#pragma once
// The router: which experts a token goes to, and with which weights. Header-only.
//
// Methods, as a RouterConfig (RouterConfig::deepseek_v3() and others give those of published models):
//   DeepSeek-V3, GLM-4.5, dots1 (noaux_tc)   sigmoid, top2_sum groups, selection_bias, norm_topk_prob, scaling
//   LFM2-MoE                                 sigmoid, selection_bias, norm_topk_prob, norm_add
//   DeepSeek-V2 (group_limited_greedy)       softmax, max groups, scaling; V2-Lite (greedy): one group
//   Qwen, OLMoE, Mixtral, Hunyuan            softmax, norm_topk_prob per model
//   ERNIE 4.5                                softmax, selection_bias, norm_topk_prob, norm_min
//   gpt-oss                                  chosen_softmax
// expert_mass below 1 (for experiments) keeps only a token's best experts, as few as reach that share of the weights.
// Shared experts, and Qwen2-MoE's gate for them, are at the end of this file.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "moe/detail/math.hpp"
#include "moe/detail/router_rules.hpp"
#include "moe/error.hpp"
#include "moe/router_config.hpp"
#include "moe/tensor.hpp"

namespace moe::inline MOE_ABI {

namespace detail {

/// A bias must be given exactly when selection_bias is set, so that neither is silently ignored.
inline Result<void> check_bias(const RouterConfig& c, std::size_t size) {
  if (c.selection_bias == (size > 0)) return {};
  return fail(ErrorCode::bad_config,
              c.selection_bias
                  ? std::string("router: selection_bias is true, but no bias is given")
                  : "router: a bias of " + std::to_string(size) + " values is given, but selection_bias is false");
}

/// Keeps the best `capacity` candidates, best first. Candidates must be offered in ascending index: of equal keys the
/// first stays ahead, so ties go to the lower index. Once the list is full, most candidates cost one comparison.
struct BestList {
  float* keys;
  std::int32_t* ids;
  std::int64_t capacity;
  std::int64_t count = 0;

  void offer(float key, std::int32_t id) noexcept {
    if (count == capacity && !(key > keys[capacity - 1])) return;
    std::int64_t at = count < capacity ? count++ : capacity - 1;
    for (; at > 0 && key > keys[at - 1]; --at) {
      keys[at] = keys[at - 1];
      ids[at] = ids[at - 1];
    }
    keys[at] = key;
    ids[at] = id;
  }
};

/// score + bias, in the order of the numerics contract.
inline float selection_score(std::span<const float> scores, std::span<const float> bias, std::size_t e) noexcept {
  return bias.empty() ? scores[e] : scores[e] + bias[e];
}

inline float group_selection_score(std::span<const float> scores, std::span<const float> bias, GroupScore rule,
                                   std::size_t begin, std::size_t end) noexcept {
  float first = -std::numeric_limits<float>::infinity(), second = first;
  for (std::size_t e = begin; e < end; ++e) {
    const float s = selection_score(scores, bias, e);
    second = s > first ? first : (s > second ? s : second);
    first = s > first ? s : first;
  }
  return rule == GroupScore::max ? first : first + second;
}

/// Length (at least 1) of the shortest prefix whose share of all weights reaches RouterConfig::expert_mass. Its weights
/// are rescaled with MassVariant::renormalised. Sums in double, in rank order.
inline std::size_t cut_to_mass(const RouterConfig& c, std::span<float> w) noexcept {
  double total = 0.0, kept = 0.0;
  for (const float x : w) total += static_cast<double>(x);
  const double wanted = c.expert_mass * total;
  std::size_t count = 0;
  do kept += static_cast<double>(w[count++]);
  while (count < w.size() && kept < wanted);
  if (c.mass_variant == MassVariant::renormalised && count < w.size() && kept > 0.0) {
    const float part = static_cast<float>(kept), whole = static_cast<float>(total);
    for (float& x : w.first(count)) {
      x /= part;  // one expert alone weighs exactly `whole`
      x *= whole;
    }
  }
  return count;
}

/// Turns the chosen experts' unbiased scores, in rank order, into mixing weights. Returns the number of experts, 0 when
/// there are no such weights: the scores' sum is not positive, or the highest logit not finite.
inline std::size_t finish_weights(const RouterConfig& c, std::span<float> w) noexcept {
  if (c.score == RouterScore::chosen_softmax) {
    float highest = w[0];
    for (const float x : w) highest = x > highest ? x : highest;
    if (!std::isfinite(highest)) return 0;
    for (float& x : w) x = exp(x - highest);
  }
  if (c.norm_topk_prob || c.score == RouterScore::chosen_softmax) {
    float sum = 0.0f;
    for (const float x : w) sum += x;
    if (c.score == RouterScore::sigmoid) {
      sum += static_cast<float>(c.norm_add);
    } else {
      const float least = static_cast<float>(c.norm_min);
      sum = sum > least ? sum : least;
    }
    if (sum <= 0.0f) return 0;  // only with norm_min or norm_add = 0
    for (float& x : w) x /= sum;
  }
  if (c.expert_mass < 1.0) w = w.first(cut_to_mass(c, w));
  const float scale = static_cast<float>(c.routed_scaling_factor);
  if (scale != 1.0f)
    for (float& x : w) x *= scale;
  return w.size();
}

}  // namespace detail

/// Checks that all numbers are in range and consistent. expert_count 0 is a dense model: top_k must be 0 too.
/// choose_experts() and route() check less: only that they can compute with these numbers.
/// Errors: bad_config, naming the field, what was found and what was expected.
[[nodiscard]] inline Result<void> validate(const RouterConfig& config) {
  std::string refusal = detail::router_refusal(config);
  if (refusal.empty()) return {};
  return fail(ErrorCode::bad_config, "config: " + std::move(refusal));
}

/// Chooses the experts of one token from its scores.
///
///   scores  [E]  softmax or sigmoid of the logits; the logits themselves for RouterScore::chosen_softmax
///   bias    [E]  with config.selection_bias, else empty; affects the selection only, not the weights
///   ids     [K]  best first by score + bias; equal values go to the lower index
///   weights [K]  of those experts, all scaling included
///
/// Returns how many of them the token goes to: K, or fewer with config.expert_mass; later entries are meaningless.
///
/// Errors    bad_config for numbers that contradict each other and for a bias without selection_bias; bad_shape for
///           spans of other lengths; non_finite for NaN or infinity in scores or bias (chosen_softmax accepts a logit
///           of -inf, which is never chosen). ids are undefined then
/// Cost      O(E), and up to K comparisons per candidate kept; allocates only for errors; concurrent calls are safe
/// Accuracy  sums run in rank order, one division per weight (docs/NUMERICS.md)
[[nodiscard]] inline Result<std::int64_t> choose_experts(std::span<const float> scores, std::span<const float> bias,
                                                         const RouterConfig& config, std::span<std::int32_t> ids,
                                                         std::span<float> weights) {
  if (const char* broken = detail::broken_router_rule(config))
    return fail(ErrorCode::bad_config, std::string("router: ") + broken);
  const auto expert_count = static_cast<std::size_t>(config.expert_count);
  const auto top_k = static_cast<std::size_t>(config.top_k);
  if (auto ok = detail::check_bias(config, bias.size()); !ok) return forward(ok);
  if (scores.size() != expert_count || (!bias.empty() && bias.size() != expert_count))
    return fail(ErrorCode::bad_shape, "router: " + std::to_string(scores.size()) + " scores and " +
                                          std::to_string(bias.size()) + " biases for " + std::to_string(expert_count) +
                                          " experts");
  if (ids.size() != top_k || weights.size() != top_k)
    return fail(ErrorCode::bad_shape, "router: room for " + std::to_string(ids.size()) + " ids and " +
                                          std::to_string(weights.size()) + " weights, top_k is " +
                                          std::to_string(top_k));

  constexpr float kHighest = std::numeric_limits<float>::max();
  const float lowest =
      config.score == RouterScore::chosen_softmax ? -std::numeric_limits<float>::infinity() : -kHighest;
  bool finite = true;  // NaN fails both comparisons; no branch, so the loops vectorise
  for (const float s : scores) finite &= (s >= lowest) & (s <= kHighest);
  for (const float b : bias) finite &= (b >= -kHighest) & (b <= kHighest);
  if (!finite) return fail(ErrorCode::non_finite, "router: a score or a selection bias is not finite");

  // `weights` holds the selection scores until the experts are chosen.
  detail::BestList best{weights.data(), ids.data(), config.top_k};
  if (config.topk_group == config.group_count) {
    for (std::size_t e = 0; e < expert_count; ++e)
      best.offer(detail::selection_score(scores, bias, e), static_cast<std::int32_t>(e));
  } else {
    const auto group_count = static_cast<std::size_t>(config.group_count);
    const std::size_t per_group = expert_count / group_count;
    std::array<float, kMaxRouterGroups> keys;
    std::array<std::int32_t, kMaxRouterGroups> kept;
    detail::BestList groups{keys.data(), kept.data(), config.topk_group};
    for (std::size_t g = 0; g < group_count; ++g)
      groups.offer(detail::group_selection_score(scores, bias, config.group_score, g * per_group, (g + 1) * per_group),
                   static_cast<std::int32_t>(g));
    std::array<bool, kMaxRouterGroups> keep{};  // visited in ascending index, whatever their rank
    for (std::int64_t i = 0; i < groups.count; ++i)
      keep[static_cast<std::size_t>(kept[static_cast<std::size_t>(i)])] = true;
    for (std::size_t g = 0; g < group_count; ++g) {
      if (!keep[g]) continue;
      for (std::size_t e = g * per_group; e < (g + 1) * per_group; ++e)
        best.offer(detail::selection_score(scores, bias, e), static_cast<std::int32_t>(e));
    }
  }

  for (std::size_t i = 0; i < top_k; ++i) weights[i] = scores[static_cast<std::size_t>(ids[i])];
  const std::size_t count = detail::finish_weights(config, weights);
  if (count == 0) return fail(ErrorCode::non_finite, "router: the chosen scores have no finite, positive sum");
  return static_cast<std::int64_t>(count);
}

/// The output of route(): ids and weights of up to `capacity` tokens, and scratch for the scores of one. A decoding
/// loop creates one for its largest batch and reuses it in every step.
class Routing {
 public:
  /// Errors: bad_config, bad_argument, out_of_memory.
  static Result<Routing> create(const RouterConfig& config, std::int64_t capacity) {
    if (const char* broken = detail::broken_router_rule(config))
      return fail(ErrorCode::bad_config, std::string("router: ") + broken);
    if (capacity < 0) return fail(ErrorCode::bad_argument, "router: room for a negative number of tokens");
    std::uint64_t values = 0;
    if (!checked_multiply(static_cast<std::uint64_t>(capacity), static_cast<std::uint64_t>(config.top_k), values))
      return fail(ErrorCode::out_of_memory, "router: the routing of so many tokens exceeds the address space");
    auto ids = AlignedBuffer<std::int32_t>::create(values);
    if (!ids) return forward(ids);
    auto weights = AlignedBuffer<float>::create(values);
    if (!weights) return forward(weights);
    auto counts = AlignedBuffer<std::int32_t>::create(static_cast<std::size_t>(capacity));
    if (!counts) return forward(counts);
    auto scores = AlignedBuffer<float>::create(static_cast<std::size_t>(config.expert_count));
    if (!scores) return forward(scores);
    Routing out;
    out.capacity_ = capacity;
    out.top_k_ = config.top_k;
    out.ids_ = std::move(*ids);
    out.weights_ = std::move(*weights);
    out.counts_ = std::move(*counts);
    out.scores_ = std::move(*scores);
    for (std::int64_t t = 0; t < capacity; ++t) out.set_count(t, config.top_k);
    return out;
  }

  std::int64_t capacity() const noexcept { return capacity_; }
  /// Tokens of the last route() call; 0 before the first.
  std::int64_t token_count() const noexcept { return token_count_; }
  /// For callers of choose_experts(); route() does this itself. Every token then has K experts until set_count() says
  /// otherwise. Errors: bad_shape above the capacity.
  Result<void> resize(std::int64_t token_count) {
    if (token_count < 0 || token_count > capacity_)
      return fail(ErrorCode::bad_shape, "router: " + std::to_string(token_count) + " tokens, expected at most " +
                                            std::to_string(capacity_) + ", the capacity of the routing");
    token_count_ = token_count;
    for (std::int64_t t = 0; t < token_count; ++t) set_count(t, top_k_);
    return {};
  }
  std::int64_t top_k() const noexcept { return top_k_; }
  /// Experts of token t: K, or fewer with RouterConfig::expert_mass.
  std::int64_t count(std::int64_t t) const noexcept { return counts_[static_cast<std::size_t>(t)]; }
  /// What choose_experts() returned for token t: 1..K.
  void set_count(std::int64_t t, std::int64_t count) noexcept {
    counts_[static_cast<std::size_t>(t)] = static_cast<std::int32_t>(count);
  }
  /// Experts of token t, best first [count(t)].
  std::span<std::int32_t> ids(std::int64_t t) noexcept { return {ids_.data() + t * top_k_, width(t)}; }
  std::span<const std::int32_t> ids(std::int64_t t) const noexcept { return {ids_.data() + t * top_k_, width(t)}; }
  std::span<float> weights(std::int64_t t) noexcept { return {weights_.data() + t * top_k_, width(t)}; }
  std::span<const float> weights(std::int64_t t) const noexcept { return {weights_.data() + t * top_k_, width(t)}; }
  /// Scratch [E].
  std::span<float> scores() noexcept { return scores_.span(); }

 private:
  std::size_t width(std::int64_t t) const noexcept { return static_cast<std::size_t>(count(t)); }

  std::int64_t capacity_ = 0, token_count_ = 0, top_k_ = 0;
  AlignedBuffer<std::int32_t> ids_;
  AlignedBuffer<float> weights_;
  AlignedBuffer<std::int32_t> counts_;  // [capacity]
  AlignedBuffer<float> scores_;
};

/// Chooses experts and mixing weights for each token.
///
///   logits       [T, E]  an expert with -inf is never chosen; NaN and +inf are errors
///   bias         [E]     with config.selection_bias, else empty; shifts selection only
///   out.ids      [T, K]  best first; equal scores go to the lower index
///   out.weights  [T, K]  from the unbiased scores; they sum to routed_scaling_factor when norm_topk_prob
///   out.count    [T]     K, or fewer with config.expert_mass
///
/// `out` comes from Routing::create for this config; its token_count() becomes T, at most its capacity.
///
/// Errors    bad_config (also for a bias without selection_bias), bad_shape, non_finite (naming the token);
///           `out` has no tokens then
/// Cost      O(T * E), allocates only for errors, safe to call concurrently on distinct outputs
/// Accuracy  same bits for any T and on every compiler (docs/NUMERICS.md)
/// Source    DeepSeek-V3 report (arXiv:2412.19437), section 2.1.2, and the routers of Hugging Face transformers
[[nodiscard]] inline Result<void> route(MatrixView<const float> logits, VectorView<const float> bias,
                                        const RouterConfig& config, Routing& out) {
  if (auto ok = out.resize(0); !ok) return ok;
  if (logits.cols != config.expert_count || logits.rows < 0 || logits.rows > out.capacity() ||
      out.top_k() != config.top_k || out.scores().size() != static_cast<std::size_t>(logits.cols))
    return fail(ErrorCode::bad_shape, "router: logits [" + std::to_string(logits.rows) + ", " +
                                          std::to_string(logits.cols) + "], expected at most [" +
                                          std::to_string(out.capacity()) + ", " + std::to_string(out.scores().size()) +
                                          "], and top " + std::to_string(config.top_k) + " for a routing of top " +
                                          std::to_string(out.top_k()));
  if (auto ok = detail::check_bias(config, bias.size()); !ok) return ok;
  if (auto ok = out.resize(logits.rows); !ok) return ok;
  const auto refuse = [&](ErrorCode code, std::string message) {
    static_cast<void>(out.resize(0));
    return fail(code, std::move(message));
  };
  for (std::int64_t t = 0; t < logits.rows; ++t) {
    const std::span<const float> row(logits.row(t), static_cast<std::size_t>(logits.cols));
    bool legal = true;
    for (const float x : row) legal &= x <= std::numeric_limits<float>::max();
    if (!legal)
      return refuse(ErrorCode::non_finite, "router: a logit of token " + std::to_string(t) + " is NaN or +infinity");
    std::span<const float> scores = row;
    if (config.score == RouterScore::softmax) {
      detail::softmax(row.data(), logits.cols, out.scores().data());
      scores = out.scores();
    } else if (config.score == RouterScore::sigmoid) {
      for (std::size_t e = 0; e < row.size(); ++e) out.scores()[e] = detail::sigmoid(row[e]);
      scores = out.scores();
    }
    const auto chosen = choose_experts(scores, bias, config, out.ids(t), out.weights(t));
    if (!chosen) return refuse(chosen.error().code, chosen.error().message + " (token " + std::to_string(t) + ")");
    out.set_count(t, *chosen);
  }
  return {};
}
/// The same for routers without a selection bias.
[[nodiscard]] inline Result<void> route(MatrixView<const float> logits, const RouterConfig& config, Routing& out) {
  return route(logits, {}, config, out);
}

/// Weight of the shared experts' output for one token: sigmoid(gate . x) (Qwen2-MoE). Models without a gate use 1.
///
///   gate  [D]
///   x     [D]  the experts' input (after the norm)
///
/// Errors    bad_shape, non_finite for NaN or infinity in the product
/// Accuracy  one chain of fma in rising order, as in moe::moe's float path
[[nodiscard]] inline Result<float> shared_expert_weight(std::span<const float> gate, std::span<const float> x) {
  if (gate.size() != x.size())
    return fail(ErrorCode::bad_shape,
                "shared expert: a gate of " + std::to_string(gate.size()) + " values for " + std::to_string(x.size()));
  float logit = 0.0f;
  for (std::size_t i = 0; i < x.size(); ++i) logit = detail::fma(gate[i], x[i], logit);
  if (!std::isfinite(logit)) return fail(ErrorCode::non_finite, "shared expert: the gate's logit is not finite");
  return detail::sigmoid(logit);
}

/// Adds the experts' outputs to one token's hidden state: shared experts first, then the chosen ones, best first.
///
///   shared         [D]     sum of the shared experts, or empty where the model has none
///   shared_weight          1, or shared_expert_weight()
///   routed         [K, D]  row r from the expert ids[r]
///   weights        [K]     Routing::weights
///   hidden         [D]     changed in place
///
/// Errors    bad_shape; hidden is unchanged then
/// Accuracy  h = fma(w, y, h) in this order (docs/NUMERICS.md), so same bits everywhere
[[nodiscard]] inline Result<void> add_experts(std::span<const float> shared, float shared_weight,
                                              MatrixView<const float> routed, std::span<const float> weights,
                                              std::span<float> hidden) {
  if ((!shared.empty() && shared.size() != hidden.size()) || static_cast<std::size_t>(routed.rows) != weights.size() ||
      static_cast<std::size_t>(routed.cols) != hidden.size())
    return fail(ErrorCode::bad_shape, "experts: outputs [" + std::to_string(routed.rows) + ", " +
                                          std::to_string(routed.cols) + "] and shared [" +
                                          std::to_string(shared.size()) + "] for " + std::to_string(weights.size()) +
                                          " weights and a hidden state of " + std::to_string(hidden.size()));
  for (std::size_t i = 0; i < shared.size(); ++i) hidden[i] = detail::fma(shared_weight, shared[i], hidden[i]);
  for (std::size_t r = 0; r < weights.size(); ++r) {
    const float* y = routed.row(static_cast<std::int64_t>(r));
    for (std::size_t i = 0; i < hidden.size(); ++i) hidden[i] = detail::fma(weights[r], y[i], hidden[i]);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI

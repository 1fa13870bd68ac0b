// Which experts of the next layer are read while this one's are still under way. A guess changes speed only.
//
// One token's reads of a layer end with fewer and fewer under way, and during attention there are none. So experts of the
// next layer are read as well: those its router puts first for the residual stream as it is before this layer's
// feed-forward half, as many as were mostly right before.

#include <algorithm>
#include <utility>

#include "model/forward.hpp"

namespace moe::inline MOE_ABI {
namespace {

// With more tokens a layer needs more experts, and its reads fill the time by themselves.
constexpr std::int64_t kGuessTokens = 4;

}  // namespace

// `layer`: the next one with experts; `chosen`: how many this one needs.
std::vector<ExpertSource::Guess> Forward::experts_ahead(std::int64_t layer, std::size_t chosen) {
  const std::int64_t E = c_->router.expert_count;
  // A step that needs nearly all experts of a layer will need those of the next one.
  if (static_cast<std::int64_t>(chosen) * 10 >= E * 9) {
    std::vector<ExpertSource::Guess> all;
    for (std::int32_t e = 0; e < E; ++e) all.push_back({e, ExpertSource::kCertain});
    return all;
  }
  if (tokens() > kGuessTokens) return {};
  const std::int32_t ranks = model_->experts->guessed_ranks(routers_[static_cast<std::size_t>(layer)].top_k);
  return ranks > 0 ? guess_experts(layer, ranks) : std::vector<ExpertSource::Guess>{};
}

// The first `ranks` of each token.
std::vector<ExpertSource::Guess> Forward::guess_experts(std::int64_t layer, std::int32_t ranks) {
  const LayerWeights& w = model_->weights->layers[static_cast<std::size_t>(layer)];
  const std::vector<float>& norm = c_->dense_beside_experts ? w.router_norm : w.ffn_norm;
  const std::int64_t E = c_->router.expert_count, D = c_->hidden_size, T = tokens();
  guess_input_.resize(static_cast<std::size_t>(kGuessTokens * D));
  guess_scores_.resize(static_cast<std::size_t>(kGuessTokens * E));
  engine_.enter(Stage::router);
  for (std::int64_t t = 0; t < T; ++t) {
    const float* h = ws_.hidden.data() + t * D;
    float* x = guess_input_.data() + t * D;
    if (norm.empty())
      std::copy_n(h, D, x);
    else
      engine_.table().rms_norm(h, norm.data(), static_cast<float>(c_->rms_norm_eps), D, x);
  }
  const LinearJob job = {&w.router, {guess_input_.data(), D, {}}, nullptr, T, guess_scores_.data(), E};
  engine_.linear(std::span(&job, 1), nullptr);

  const auto K = static_cast<std::size_t>(routers_[static_cast<std::size_t>(layer)].top_k);
  std::vector<std::vector<std::int32_t>> chosen;  // [token][rank]
  std::vector<float> weights(K);
  for (std::int64_t t = 0; t < T; ++t) {
    std::vector<std::int32_t> ids(K);
    const auto count = choose_of(w, layer, guess_scores_.data() + t * E, ids, weights);
    if (!count) continue;  // the layer itself says what is wrong, if it still is
    ids.resize(static_cast<std::size_t>(*count));
    chosen.push_back(std::move(ids));
  }
  std::vector<ExpertSource::Guess> guesses;
  const auto is_new = [&](std::int32_t expert) {
    return std::none_of(guesses.begin(), guesses.end(), [&](const auto& guess) { return guess.expert == expert; });
  };
  for (std::int32_t rank = 0; rank < ranks; ++rank)
    for (const auto& ids : chosen)
      if (const auto r = static_cast<std::size_t>(rank); r < ids.size() && is_new(ids[r]))
        guesses.push_back({ids[r], rank});
  return guesses;
}

}  // namespace moe::inline MOE_ABI

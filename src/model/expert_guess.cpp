// Which experts of the next layer are read while this one's are still under way. A guess changes speed only.
//
// One token's reads of a layer end with fewer and fewer under way, and during attention there are none. So a few experts
// of the next layer are read as well: those its router puts first for the residual stream as it is before this layer's
// feed-forward half.

#include <algorithm>
#include <numeric>

#include "model/forward.hpp"

namespace moe::inline MOE_ABI {
namespace {

// With more tokens a layer needs more experts, and its reads fill the time by themselves.
constexpr std::int64_t kGuessTokens = 4;

}  // namespace

// `layer`: the next one with experts; `chosen`: how many this one needs.
std::vector<std::int32_t> Forward::experts_ahead(std::int64_t layer, std::size_t chosen) {
  const std::int64_t E = c_->router.expert_count;
  // A step that needs nearly all experts of a layer will need those of the next one.
  if (static_cast<std::int64_t>(chosen) * 10 >= E * 9) {
    std::vector<std::int32_t> all(static_cast<std::size_t>(E));
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  if (tokens() > kGuessTokens || !model_->experts->guesses_pay()) return {};
  return guess_experts(layer);
}

// A quarter of each token's experts, the best first: the fewer, the more of them are right.
std::vector<std::int32_t> Forward::guess_experts(std::int64_t layer) {
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
  std::vector<std::int32_t> ids(K), guesses;
  std::vector<float> weights(K);
  for (std::int64_t t = 0; t < T; ++t) {
    const auto count = choose_of(w, layer, guess_scores_.data() + t * E, ids, weights);
    if (!count) continue;  // the layer itself says what is wrong, if it still is
    const auto few = std::min<std::size_t>(static_cast<std::size_t>(*count), std::max<std::size_t>(1, K / 4));
    for (std::size_t r = 0; r < few; ++r)
      if (std::find(guesses.begin(), guesses.end(), ids[r]) == guesses.end()) guesses.push_back(ids[r]);
  }
  return guesses;
}

}  // namespace moe::inline MOE_ABI

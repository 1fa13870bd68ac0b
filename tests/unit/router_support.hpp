#pragma once
// One token through the router.

#include <random>
#include <vector>

#include "moe/router.hpp"

namespace router_support {

using moe::MatrixView;
using moe::RouterConfig;
using moe::Routing;

struct Answer {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

inline moe::Result<Answer> ask(const std::vector<float>& logits, const std::vector<float>& bias,
                               const RouterConfig& config) {
  auto out = Routing::create(config, 1);
  if (!out) return moe::forward(out);
  const MatrixView<const float> row(logits.data(), 1, static_cast<std::int64_t>(logits.size()));
  if (auto done = moe::route(row, bias, config, *out); !done) return moe::forward(done);
  return Answer{{out->ids(0).begin(), out->ids(0).end()}, {out->weights(0).begin(), out->weights(0).end()}};
}

inline std::vector<float> random_logits(std::mt19937& rng, std::int64_t n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = static_cast<float>(rng() % 20001) / 2500.0f - 4.0f;
  return x;
}

}  // namespace router_support

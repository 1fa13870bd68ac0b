// A program with moe::headers only: header-only functions must link without the library.

#include <cmath>
#include <cstdio>
#include <vector>

#include "moe/flops.hpp"
#include "moe/rope.hpp"
#include "moe/router.hpp"
#include "moe/router_statistics.hpp"
#include "moe/sampling.hpp"

int main() {
  constexpr moe::RouterConfig config = moe::RouterConfig::mixtral();
  if (!moe::validate(config) || moe::validate(moe::RouterConfig{.expert_count = 8, .top_k = 9})) return 1;
  auto routing = moe::Routing::create(config, 4);
  const std::vector<float> logits{0.0f, 3.0f, 1.0f, 0.5f, 2.0f, -1.0f, 0.0f, 0.0f};
  if (!routing || !moe::route({logits.data(), 1, 8}, config, *routing)) return 1;
  std::vector<std::int64_t> load(8, 0);
  if (!moe::count_load(routing->ids(0), load) || moe::load_statistics(load).assignments != 2) return 1;
  const auto token = moe::greedy_token(logits);
  const auto angles = moe::RopeTable::create({}, 64);
  if (!token || *token != 1 || !angles || angles->pair_count() != 32) return 1;
  moe::ModelConfig shape;
  shape.layer_count = 1, shape.hidden_size = 64, shape.vocab_size = 100;
  std::printf("experts %d and %d, %lld parameters\n", routing->ids(0)[0], routing->ids(0)[1],
              static_cast<long long>(moe::count_parameters(shape).total));
  return routing->ids(0)[0] == 1 && routing->ids(0)[1] == 4 ? 0 : 1;
}

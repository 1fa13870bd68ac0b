// Chooses the experts of one token as DeepSeek-V3 does, from headers alone: no library to link, no model file.
//   route_one_token [SEED]

#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "moe/router.hpp"

int main(int argc, char** argv) {
  const std::string seed = argc > 1 ? argv[1] : "1";
  unsigned state = 0;
  const auto [stop, error] = std::from_chars(seed.data(), seed.data() + seed.size(), state);
  if (argc > 2 || error != std::errc{} || stop != seed.data() + seed.size()) {
    std::fprintf(stderr, "usage: route_one_token [SEED], a whole number\n");
    return 2;
  }

  moe::RouterConfig config;
  config.expert_count = 16;
  config.top_k = 4;
  config.group_count = 4;  // four groups of four experts; the token may use the best two groups
  config.topk_group = 2;
  config.score = moe::RouterScore::sigmoid;
  config.group_score = moe::GroupScore::top2_sum;
  config.selection_bias = true;
  config.norm_topk_prob = true;
  config.routed_scaling_factor = 2.5;

  // In a model these are hidden state times router matrix; here any numbers do.
  std::vector<float> logits(16), bias(16, 0.0f);
  for (float& logit : logits) {
    state = state * 1664525u + 1013904223u;
    logit = static_cast<float>(state >> 8) / static_cast<float>(1u << 22) - 2.0f;
  }

  auto routing = moe::Routing::make(config, 1);
  if (!routing) {
    std::fprintf(stderr, "%s\n", routing.error().message.c_str());
    return 1;
  }
  if (auto done = moe::route({logits.data(), 1, 16}, bias, config, *routing); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  for (std::size_t rank = 0; rank < routing->ids(0).size(); ++rank)
    std::printf("rank %zu: expert %2d  weight %.6f\n", rank, routing->ids(0)[rank],
                static_cast<double>(routing->weights(0)[rank]));
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {  // a full disk must not look like success
    std::fprintf(stderr, "cannot write the output\n");
    return 1;
  }
}

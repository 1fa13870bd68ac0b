// Selects the experts of one token as in DeepSeek-V3, header-only: no library to link, no model file.
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

  const moe::RouterConfig config = moe::RouterConfig::deepseek_v3();  // 8 of 256 experts, from the best 4 of 8 groups
  // In a model these are hidden state times router matrix; here any numbers do.
  std::vector<float> logits(256), bias(256, 0.0f);
  for (float& logit : logits) {
    state = state * 1664525u + 1013904223u;
    logit = static_cast<float>(state >> 8) / static_cast<float>(1u << 22) - 2.0f;
  }

  auto routing = moe::Routing::create(config, 1);
  if (!routing) {
    std::fprintf(stderr, "%s\n", routing.error().message.c_str());
    return 1;
  }
  if (auto done = moe::route({logits.data(), 1, 256}, bias, config, *routing); !done) {
    std::fprintf(stderr, "%s\n", done.error().message.c_str());
    return 1;
  }
  for (std::size_t rank = 0; rank < routing->ids(0).size(); ++rank)
    std::printf("rank %zu: expert %3d  weight %.6f\n", rank, routing->ids(0)[rank],
                static_cast<double>(routing->weights(0)[rank]));
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {  // a full disk must not look like success
    std::fprintf(stderr, "cannot write the output\n");
    return 1;
  }
}

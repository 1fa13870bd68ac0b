// Header-only: the compute of one forward pass, from the configuration.
#include <moe/flops.hpp>

#include <cstdio>

int main() {
  moe::ModelConfig config;
  config.layer_count = 2;
  config.hidden_size = 64;
  config.head_count = config.kv_head_count = 4;
  config.head_dim = 16;
  config.intermediate_size = 128;
  config.vocab_size = 320;
  const moe::Work work = moe::forward_work(config, 0, 8, 1, moe::MlaForm::expanded);
  std::printf("%lld FLOPs\n", static_cast<long long>(work.total()));
}

// Expert selection (include/moe/router.hpp) for routers of published models, in scores per second of one core.
//   moe-bench-router --benchmark_filter=deepseek
//   moe-bench-router --help        # Google Benchmark's options
// Only the selection is timed: the scores are given, as after the router's softmax or sigmoid.

#include "moe/router.hpp"
#include "micro.hpp"

namespace {

using moe::RouterConfig;

RouterConfig all_groups(RouterConfig config) {
  config.topk_group = config.group_count;
  return config;
}

/// Different random tokens, because the branch predictor would learn the order of a single one.
void run_choice(benchmark::State& state, RouterConfig config) {
  constexpr std::int64_t tokens = 1024;
  const auto experts = static_cast<std::size_t>(config.expert_count), top_k = static_cast<std::size_t>(config.top_k);
  const auto scores = micro::random_floats(tokens * config.expert_count, 0.0f, 1.0f);
  const auto bias = micro::random_floats(config.selection_bias ? config.expert_count : 0, -0.1f, 0.1f);
  auto ids = micro::buffer<std::int32_t>(config.top_k);
  auto weights = micro::buffer<float>(config.top_k);
  std::int64_t t = 0;
  for (auto _ : state) {
    const auto row = scores.span().subspan(static_cast<std::size_t>(t) * experts, experts);
    const auto chosen =
        moe::choose_experts(row, bias.span(), config, ids.span().first(top_k), weights.span().first(top_k));
    if (!chosen) return state.SkipWithError(chosen.error().message.c_str());
    benchmark::DoNotOptimize(ids.data());
    benchmark::ClobberMemory();
    t = (t + 1) % tokens;
  }
  state.counters["scores/s"] =
      benchmark::Counter(static_cast<double>(experts), benchmark::Counter::kIsIterationInvariantRate);
  state.SetBytesProcessed(static_cast<std::int64_t>((experts + bias.size() + 2 * top_k) * sizeof(float)) *
                          state.iterations());
}

}  // namespace

int main(int argc, char** argv) {
  const auto add = [](const char* name, const RouterConfig& config) {
    benchmark::RegisterBenchmark(name, run_choice, config);
  };
  add("deepseek_v3/256/top8/groups4of8", RouterConfig::deepseek_v3());
  add("deepseek_v3/256/top8/groups8of8", all_groups(RouterConfig::deepseek_v3()));
  add("qwen3/128/top8", RouterConfig::qwen3_moe());
  add("mixtral/8/top2", RouterConfig::mixtral());
  add("gpt_oss/128/top4", RouterConfig::gpt_oss_120b());
  return micro::run(argc, argv);
}

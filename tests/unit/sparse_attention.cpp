// Sparse attention: which layers choose keys, by every way to say it; which keys are chosen; what it costs.

#include "model/chosen_keys.hpp"

#include <algorithm>
#include <numeric>
#include <random>

#include "moe/flops.hpp"
#include "text_config.hpp"

namespace sparse_attention_config_test {

namespace {

using moe::MlaForm;
using moe::ModelConfig;
using moe_test::config_of;
using moe_test::refusal_of;
using nlohmann::json;

json glm() {
  return {{"model_type", "glm_moe_dsa"},
          {"architectures", {"GlmMoeDsaForCausalLM"}},
          {"vocab_size", 320},
          {"hidden_size", 48},
          {"num_hidden_layers", 6},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 4},
          {"intermediate_size", 100},
          {"moe_intermediate_size", 32},
          {"n_routed_experts", 8},
          {"num_experts_per_tok", 2},
          {"q_lora_rank", 24},
          {"kv_lora_rank", 32},
          {"qk_nope_head_dim", 16},
          {"qk_rope_head_dim", 8},
          {"v_head_dim", 20},
          {"first_k_dense_replace", 1},
          {"index_topk", 5},
          {"index_n_heads", 3},
          {"index_head_dim", 12},
          {"max_position_embeddings", 512}};
}

json v32() {
  json out = glm();
  out["model_type"] = "deepseek_v32", out["architectures"] = {"DeepseekV32ForCausalLM"};
  out["n_group"] = 1, out["topk_group"] = 1;
  return out;
}

json with(json config, const json& more) {
  config.update(more);
  return config;
}

bool refused(const json& config, const std::string& part) {
  const std::string text = refusal_of(config);
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

using Layers = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("GLM-5: layers that share a choice, as list, pattern and schedule") {
  const auto shared = [](const json& more) { return config_of(with(glm(), more)).indexer.shared_layers; };
  CHECK(shared(json::object()).empty());
  const Layers expected = {1, 3, 5};
  CHECK(shared({{"indexer_types", {"full", "shared", "full", "shared", "full", "shared"}}}) == expected);
  CHECK(shared({{"index_topk_pattern", "FSFSFS"}}) == expected);
  CHECK(shared({{"index_topk_pattern", {"full", "shared", "full", "shared", "full", "shared"}}}) == expected);
  CHECK(shared({{"index_topk_freq", 2}, {"index_skip_topk_offset", 1}}) == expected);
  CHECK(shared({{"index_topk_freq", 2}}) == Layers{2, 4});  // the offset is 2
  CHECK(shared({{"index_topk_freq", 4}, {"index_skip_topk_offset", 3}}) == Layers{3, 4, 5});
  for (const int every : {0, 1}) CHECK(shared({{"index_topk_freq", every}}).empty());
  // Two that agree; a pattern stands above a schedule, which a note says.
  const json both = {{"indexer_types", {"full", "shared", "full", "shared", "full", "shared"}},
                     {"index_topk_pattern", "FSFSFS"},
                     {"index_topk_freq", 2},
                     {"index_skip_topk_offset", 1}};
  CHECK(shared(both) == expected);
  const auto torn = moe::arch::recognise_hf_config(with(glm(), with(both, {{"index_topk_freq", 3}})).dump());
  REQUIRE(torn.has_value());
  CHECK(torn->config.indexer.shared_layers == expected);
  REQUIRE(torn->notes.size() == 1);
  CHECK(torn->notes[0].find("index_topk_freq is 3") != std::string::npos);
}

TEST_CASE("sparse attention: settings that contradict themselves are refused by name") {
  const json types = {{"indexer_types", {"full", "shared", "full", "shared", "full", "shared"}}};
  CHECK(refused(with(with(glm(), types), {{"index_topk_pattern", "FFFFFF"}}),
                "indexer_types and index_topk_pattern say different things"));
  CHECK(refused(with(glm(), {{"indexer_types", {"full"}}}), "indexer_types has 1 entries, expected 6"));
  CHECK(refused(with(glm(), {{"index_topk_pattern", "FS"}}), "index_topk_pattern has 2 entries, expected 6"));
  CHECK(refused(with(glm(), {{"index_topk_pattern", "FSXFSF"}}), "index_topk_pattern is 'FSXFSF'"));
  CHECK(refused(with(glm(), {{"indexer_types", {"full", "half", "full", "full", "full", "full"}}}), "holds 'half'"));
  CHECK(refused(with(glm(), {{"index_topk_pattern", "SFFFFF"}}), "indexer.shared_layers holds 0"));
  CHECK(refused(with(glm(), {{"index_topk_freq", -1}}), "index_topk_freq is -1"));
  for (const json& base : {glm(), v32()}) {
    CHECK(refused(with(base, {{"index_topk", 0}}), "index_topk is 0"));
    CHECK(refused(with(base, {{"index_topk", nullptr}}), "index_topk is null"));
    CHECK(refused(with(base, {{"index_n_heads", 0}}), "index_n_heads is 0"));
    CHECK(refused(with(base, {{"index_head_dim", 6}}), "indexer.head_dim is 6, expected 8"));
    CHECK(refused(with(base, {{"q_lora_rank", nullptr}}), "q_lora_rank is null"));
    CHECK(refused(with(base, {{"layer_types", json::array({"full_attention"})}}), "layer_types"));
    CHECK(refused(with(base, {{"rope_interleave", false}}), "rope_interleave is false"));
    CHECK(refused(with(base, {{"index_window", 4}}), "index_window is 4"));
    for (const char* name : {"indexed_attention", "deepseek_sparse_attention"})
      CHECK(refusal_of(with(base, {{"layer_types", std::vector<std::string>(6, name)}})).empty());
  }
  // Which layers share is for GLM-5 alone, and the pairs that the indexer turns are another for each.
  CHECK(refused(with(v32(), types), "indexer_types is"));
  CHECK(refused(with(v32(), {{"index_topk_freq", 2}}), "index_topk_freq is 2"));
  CHECK(refusal_of(with(v32(), {{"indexer_types", std::vector<std::string>(6, "full")}})).empty());
  CHECK(refused(with(v32(), {{"indexer_rope_interleave", true}}), "indexer_rope_interleave is true"));
  CHECK(refused(with(glm(), {{"indexer_rope_interleave", false}}), "indexer_rope_interleave is false"));
  CHECK(refusal_of(with(glm(), {{"indexer_rope_interleave", true}})).empty());
  CHECK(config_of(glm()).indexer.rope_style == moe::RopeStyle::interleaved);
  CHECK(config_of(v32()).indexer.rope_style == moe::RopeStyle::half_split);
}

TEST_CASE("chosen keys: the highest scores, of equal ones the first, rising") {
  std::minstd_rand random(7);
  int ties = 0;
  for (int round = 0; round < 2000; ++round) {
    const std::size_t n = 1 + random() % 90, count = 1 + random() % n;
    const auto values = static_cast<float>(1 + random() % 12);  // few of them: many scores are equal
    std::vector<float> scores(n);
    for (float& s : scores) s = std::floor(static_cast<float>(random() % 1000) * values / 1000.0f) - values / 2;
    for (std::size_t i = 0; i < n; ++i)
      if (scores[i] == 0.0f && random() % 2 == 0) scores[i] = -0.0f;
    std::vector<std::int32_t> order(n), chosen(count + 1, -7);
    std::iota(order.begin(), order.end(), 0);
    const auto score = [&](std::int32_t i) { return scores[static_cast<std::size_t>(i)]; };
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return score(a) > score(b); });
    if (count < n) ties += score(order[count - 1]) == score(order[count]);
    order.resize(count);
    std::sort(order.begin(), order.end());
    order.push_back(-7);  // nothing is written behind the list
    std::vector<float> scratch(n);
    moe::choose_keys(scores, static_cast<std::int64_t>(count), scratch.data(), chosen.data());
    CHECK(chosen == order);
  }
  CHECK(ties > 500);
}

TEST_CASE("sparse attention: work of a hand-made model") {
  const ModelConfig c = config_of(with(glm(), {{"index_topk_pattern", "FSFFFF"}, {"num_hidden_layers", 6}}));
  // Positions 3 .. 8 see 4 .. 9 keys and attend to 4, 5, 5, 5, 5, 5 of them; of the last four all 6 .. 9 are scored.
  const moe::Work w = moe::forward_work(c, 3, 6, 0, MlaForm::absorbed);
  CHECK(w.attention_score == 6 * 2 * 29 * 4 * (32 + 8));
  CHECK(w.attention_value == 6 * 2 * 29 * 4 * 32);
  CHECK(w.index_score == 5 * 2 * (6 + 7 + 8 + 9) * 3 * (12 + 1));
  // Queries from 24, a key and weights from 48 numbers, in all layers but one.
  moe::ModelConfig plain = c;
  plain.indexer = {};
  const moe::Work all = moe::forward_work(plain, 3, 6, 0, MlaForm::absorbed);
  CHECK(w.attention_projection - all.attention_projection == 5 * 2 * 6 * (3 * 12 * 24 + (12 + 3) * 48));
  CHECK(all.attention_value == 6 * 2 * (4 + 5 + 6 + 7 + 8 + 9) * 4 * 32);
  CHECK(all.index_score == 0);
  for (const std::int64_t cached : {0, 3, 4, 5, 100}) {
    moe::Work sum;
    for (std::int64_t t = 0; t < 9; ++t) sum += moe::forward_work(c, cached + t, 1, 0, MlaForm::expanded);
    CHECK(sum == moe::forward_work(c, cached, 9, 0, MlaForm::expanded));
  }
  CHECK(w.total() > w.index_score + w.attention_score + w.attention_value);
  CHECK(moe::cache_values_per_token(c) == 6 * 40 + 5 * 12);
  CHECK(moe::cache_bytes_per_token(c, moe::KvType::q8_0) == 6 * (34 + 16) + 5 * 24);
  CHECK(moe::count_parameters(c).total - moe::count_parameters(plain).total == 5 * (3 * 12 * 24 + (12 + 3) * 48 + 24));
}

TEST_CASE("sparse attention: the sizes of DeepSeek-V3.2 and GLM-5") {
  // Their classes' defaults are the published models. 671.03e9 parameters are V3's.
  const auto of = [](const char* family) { return config_of({{"model_type", family}, {"hidden_act", "silu"}}); };
  const auto billions = [](std::int64_t n) { return static_cast<double>(n) / 1e9; };
  const ModelConfig v = of("deepseek_v32"), g = of("glm_moe_dsa");
  CHECK(billions(moe::count_parameters(v).total) == doctest::Approx(671.03 + 0.85).epsilon(1e-4));
  CHECK(billions(moe::count_parameters(g).total) == doctest::Approx(744).epsilon(2e-3));
  CHECK(billions(moe::count_parameters(g).active_matmul) == doctest::Approx(40).epsilon(0.05));
  CHECK(moe::cache_bytes_per_token(v, moe::KvType::f16) == 61 * 2 * (576 + 128));
  // At 128 Ki tokens, 2048 keys cost a 64th of all; most of the work is to find them, and all of it is a 13th.
  const std::int64_t context = 1 << 17;
  const moe::Work w = moe::forward_work(v, context - 1, 1, 0, MlaForm::absorbed);
  CHECK(w.attention_score + w.attention_value == std::int64_t{61} * 2 * 2048 * 128 * (576 + 512));
  CHECK(w.index_score == 61 * 2 * context * 64 * 129);
  ModelConfig plain = v;
  plain.indexer = {};
  CHECK(w.index_score > 3 * (w.attention_score + w.attention_value));
  CHECK(moe::attention_flops(plain, context, MlaForm::absorbed) >
        13 * moe::attention_flops(v, context, MlaForm::absorbed));
}

}  // namespace sparse_attention_config_test

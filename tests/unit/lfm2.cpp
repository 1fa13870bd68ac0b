// LFM2: the kinds of its layers, the width of its dense layers, and what the older names in its config.json mean.

#include "text_config.hpp"

namespace lfm2_test {

namespace {

using moe::Mixer;
using moe::ModelConfig;
using moe_test::config_of;
using moe_test::refusal_of;
using nlohmann::json;

json dense() {
  return {{"model_type", "lfm2"},     {"architectures", {"Lfm2ForCausalLM"}},
          {"vocab_size", 320},        {"hidden_size", 48},
          {"intermediate_size", 100}, {"num_hidden_layers", 4},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"block_multiple_of", 16},  {"max_position_embeddings", 512},
          {"full_attn_idxs", {1, 3}}};
}

json experts() {
  json out = dense();
  for (const char* key : {"full_attn_idxs", "block_multiple_of"}) out.erase(key);
  out.update({{"model_type", "lfm2_moe"},
              {"architectures", {"Lfm2MoeForCausalLM"}},
              {"layer_types", {"conv", "full_attention", "conv", "full_attention"}},
              {"num_experts", 8},
              {"num_experts_per_tok", 3},
              {"moe_intermediate_size", 32},
              {"routed_scaling_factor", 1.5}});
  return out;
}

json with(json config, const char* key, const json& value) {
  config[key] = value;
  return config;
}

}  // namespace

TEST_CASE("LFM2: full_attn_idxs and layer_types say the same") {
  json typed = dense();
  typed.erase("full_attn_idxs");
  typed["layer_types"] = {"conv", "full_attention", "conv", "full_attention"};
  const ModelConfig c = config_of(dense());
  CHECK(c == config_of(typed));
  const std::vector<Mixer> kinds = {Mixer::short_conv, Mixer::attention, Mixer::short_conv, Mixer::attention};
  CHECK(c.mixers == kinds);
  CHECK(c.recurrent.conv_kernel == 3);
  CHECK(config_of(with(dense(), "full_attn_idxs", nullptr)).attention_layer_count() == 4);
  CHECK(refusal_of(with(dense(), "full_attn_idxs", {4})).find("full_attn_idxs holds 4") != std::string::npos);
  CHECK(refusal_of(with(typed, "layer_types", {"conv"})).find("layer_types has 1 entries") != std::string::npos);
  CHECK(refusal_of(with(experts(), "layer_types", nullptr)).find("layer_types is missing") != std::string::npos);
}

TEST_CASE("LFM2: the width of dense layers") {
  const auto width = [](const json& config) { return config_of(config).intermediate_size; };
  CHECK(width(dense()) == 80);                                            // 66, up to a multiple of 16
  CHECK(width(with(dense(), "block_ffn_dim_multiplier", 1.5)) == 112);    // 99
  CHECK(width(with(dense(), "block_auto_adjust_ff_dim", false)) == 100);  // as named
  CHECK(width(with(dense(), "block_ff_dim", 72)) == 48);                  // the older name counts; 48 fits
  CHECK(width(experts()) == 100);
  for (const double factor : {0.0, -1.0, 1e9})
    CHECK(refusal_of(with(dense(), "block_ffn_dim_multiplier", factor)).find("block_ffn_dim_multiplier is") !=
          std::string::npos);
}

TEST_CASE("LFM2: names of its own, and biases of the convolution") {
  CHECK(config_of(dense()).tie_word_embeddings);
  CHECK_FALSE(config_of(with(dense(), "tie_embedding", false)).tie_word_embeddings);
  CHECK(config_of(dense()).rms_norm_eps == 1e-5);
  CHECK(config_of(with(dense(), "norm_eps", 1e-4)).rms_norm_eps == 1e-4);
  CHECK(refusal_of(with(dense(), "conv_bias", true)).find("conv_bias is true, expected false") != std::string::npos);
}

TEST_CASE("LFM2-MoE: its router") {
  const ModelConfig c = config_of(experts());
  CHECK(c.first_k_dense_replace == 2);
  CHECK(c.router.score == moe::RouterScore::sigmoid);
  CHECK(c.router.selection_bias);
  CHECK(c.router.norm_topk_prob);
  CHECK(c.router.norm_add == 1e-6);
  CHECK(c.router.routed_scaling_factor == 1.5);
  CHECK_FALSE(config_of(with(experts(), "use_expert_bias", false)).router.selection_bias);
}

}  // namespace lfm2_test

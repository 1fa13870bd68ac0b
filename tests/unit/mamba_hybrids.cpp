// Granite 4.0-H and Nemotron-H: the kinds of their layers under all names, limits of the step, multipliers, and what is
// refused by name.

#include "text_config.hpp"

namespace mamba_hybrids_test {

namespace {

using moe::Mixer;
using moe::ModelConfig;
using moe_test::config_of;
using moe_test::refusal_of;
using nlohmann::json;

json granite() {
  return {{"model_type", "granitemoehybrid"},
          {"architectures", {"GraniteMoeHybridForCausalLM"}},
          {"vocab_size", 320},
          {"hidden_size", 48},
          {"intermediate_size", 24},
          {"shared_intermediate_size", 40},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 512},
          {"num_local_experts", 8},
          {"num_experts_per_tok", 3},
          {"layer_types", {"mamba", "attention", "mamba"}},
          {"mamba_n_heads", 8},
          {"mamba_d_head", 12},
          {"mamba_d_state", 16},
          {"mamba_n_groups", 2},
          {"residual_multiplier", 0.25},
          {"logits_scaling", 8.0}};
}

json nemotron() {
  return {{"model_type", "nemotron_h"},
          {"architectures", {"NemotronHForCausalLM"}},
          {"vocab_size", 320},
          {"hidden_size", 48},
          {"intermediate_size", 72},
          {"hybrid_override_pattern", "M-*E"},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 16},
          {"max_position_embeddings", 512},
          {"mamba_num_heads", 6},
          {"mamba_head_dim", 10},
          {"ssm_state_size", 16},
          {"n_groups", 2},
          {"moe_intermediate_size", 32},
          {"moe_shared_expert_intermediate_size", 40}};
}

json with(json config, const char* key, const json& value) {
  config[key] = value;
  return config;
}
json without(json config, const char* key) {
  config.erase(key);
  return config;
}
bool refuses(const json& config, const char* text) {
  const std::string message = refusal_of(config);
  CAPTURE(message);
  return message.find(text) != std::string::npos;
}

/// The key with the bare word that Python writes for infinity.
std::string with_word(const json& config, const std::string& key, const std::string& value) {
  std::string text = config.dump();
  text.pop_back();
  return text + ",\"" + key + "\":" + value + "}";
}

}  // namespace

TEST_CASE("Granite: layers under the names of files and of transformers 5") {
  const ModelConfig c = config_of(granite());
  const std::vector<Mixer> kinds = {Mixer::mamba2, Mixer::attention, Mixer::mamba2};
  CHECK(c.mixers == kinds);
  CHECK(c.nope_layers.size() == 3);
  CHECK(c == config_of(with(granite(), "layer_types", {"linear_attention", "full_attention", "linear_attention"})));
  json renamed = without(granite(), "layer_types");
  renamed["layers_block_type"] = granite()["layer_types"];
  CHECK(c == config_of(renamed));
  CHECK(config_of(without(granite(), "layer_types")).attention_layer_count() == 0);
  const ModelConfig plain = config_of(with(granite(), "layer_types", {"attention", "attention", "attention"}));
  CHECK(plain.mixers.empty());
  CHECK(plain.recurrent == moe::RecurrentConfig{});
  CHECK(refuses(with(granite(), "layer_types", {"mamba", "sliding_attention", "mamba"}), "'sliding_attention'"));
  CHECK(refuses(with(granite(), "layer_types", {"mamba"}), "layer_types has 1 entries"));
}

TEST_CASE("Granite: multipliers, positions, FFNs with and without experts") {
  const ModelConfig c = config_of(granite());
  CHECK(c.residual_scale == 0.25);
  CHECK(c.logit_divisor == 8.0);
  CHECK(c.softmax_scale == 1.0);  // the class's, not that of the head
  CHECK(c.embedding_scale == 1.0);
  CHECK(c.router.score == moe::RouterScore::chosen_softmax);
  CHECK(c.moe_intermediate_size == 24);
  CHECK(c.shared_width() == 40);
  CHECK(config_of(with(granite(), "position_embedding_type", "rope")).nope_layers.empty());
  CHECK(config_of(with(granite(), "position_embedding_type", nullptr)) == c);
  CHECK(refuses(with(granite(), "position_embedding_type", "alibi"), "position_embedding_type is 'alibi'"));
  json dense = with(granite(), "num_local_experts", 0);
  dense["num_experts_per_tok"] = 0;
  const ModelConfig d = config_of(dense);
  CHECK(d.intermediate_size == 40);
  CHECK(d.router.expert_count == 0);
  CHECK(d.shared_expert_count == 0);
}

TEST_CASE("Granite: the sizes of its states must agree") {
  CHECK(config_of(granite()).recurrent.value_dim == 12);
  CHECK(config_of(with(granite(), "mamba_d_head", "auto")) == config_of(granite()));
  CHECK(config_of(without(granite(), "mamba_d_head")) == config_of(granite()));
  CHECK(refuses(with(granite(), "mamba_d_head", 16), "mamba_n_heads 8 times mamba_d_head 16 is 128, expected 96"));
  CHECK(refuses(with(granite(), "mamba_d_head", "wide"), "mamba_d_head is 'wide'"));
  CHECK(refuses(with(granite(), "mamba_n_heads", 7), "mamba_n_heads 7"));
  CHECK(refuses(with(granite(), "mamba_n_groups", 3), "recurrent.key_heads"));
  CHECK(refuses(with(granite(), "mamba_proj_bias", true), "mamba_proj_bias is true"));
  CHECK(refuses(with(granite(), "normalization_function", "layernorm"), "normalization_function is 'layernorm'"));
}

TEST_CASE("Granite: the limits of the step") {
  const auto least = [](const std::string& value) {
    const auto read = moe::arch::recognise_hf_config(with_word(granite(), "time_step_limit", value));
    return read ? read->config.recurrent.min_step : -1.0;
  };
  CHECK(config_of(granite()).recurrent.min_step == 0.0);
  CHECK(least("[0.0, Infinity]") == 0.0);
  CHECK(least("[0.25, Infinity]") == 0.25);
  CHECK(least(R"([0.25, {"__float__": "Infinity"}])") == 0.25);
  CHECK(least("null") == 0.0);
  for (const char* value : {"[0.0, 0.1]", "[0.0, -Infinity]", "[0.0, NaN]", "[Infinity, Infinity]", "[0.0]", "0.0",
                            "[0.0, {\"__float__\": \"NaN\"}]", "[0.0, \"Infinity\"]", "[]"}) {
    CAPTURE(value);
    CHECK(least(value) == -1.0);
  }
  // The word is a number nowhere else.
  const auto other =
      moe::arch::recognise_hf_config(with_word(without(granite(), "logits_scaling"), "logits_scaling", "Infinity"));
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().message.find("logits_scaling is Infinity") != std::string::npos);
}

TEST_CASE("Nemotron-H: a letter or a name per layer") {
  const ModelConfig c = config_of(nemotron());
  const std::vector<Mixer> kinds = {Mixer::mamba2, Mixer::none, Mixer::attention, Mixer::none};
  CHECK(c.mixers == kinds);
  CHECK(c.no_ffn_layers == std::vector<std::int64_t>{0, 2});
  CHECK(c.layer_is_moe(3));
  CHECK(c.has_dense_ffn(1));
  CHECK_FALSE(c.has_dense_ffn(3));
  CHECK(c.moe_layer_count() == 1);
  CHECK(c.ffn_matrices() == 2);
  CHECK(c.nope_layers.size() == 4);
  json listed = without(nemotron(), "hybrid_override_pattern");
  for (const char* key : {"layers_block_type", "layer_types"})
    for (const json& names :
         {json{"mamba", "mlp", "attention", "moe"}, json{"linear_attention", "mlp", "full_attention", "moe"}}) {
      CHECK(config_of(with(listed, key, names)) == c);
      CHECK(config_of(with(nemotron(), key, names)) == c);
    }
  CHECK(config_of(listed).mixers == std::vector<Mixer>{Mixer::mamba2, Mixer::none, Mixer::attention, Mixer::none});
  CHECK(refuses(with(nemotron(), "layers_block_type", {"mamba", "mlp", "moe", "moe"}),
                "hybrid_override_pattern is 'M-*E'"));
  CHECK(refuses(with(nemotron(), "num_hidden_layers", 5), "num_hidden_layers is 5, expected 4"));
  CHECK(refuses(with(nemotron(), "hybrid_override_pattern", "M-xE"), "holds 'x' for layer 2"));
  CHECK(refuses(with(nemotron(), "hybrid_override_pattern", std::string(5000, 'M')), "5000 layers"));
  CHECK(refuses(with(listed, "layers_block_type", {"mamba", "conv"}), "'conv'"));
}

TEST_CASE("Nemotron-H: keys of experts count only where there are some") {
  json dense = with(nemotron(), "hybrid_override_pattern", "M-*");
  dense["n_routed_experts"] = 0;
  const ModelConfig c = config_of(dense);
  CHECK(c.router.expert_count == 0);
  CHECK(c.shared_expert_count == 0);
  CHECK(c.intermediate_size == 72);
  CHECK(config_of(with(nemotron(), "hybrid_override_pattern", "ME*")).intermediate_size == 0);
  CHECK(refuses(with(nemotron(), "moe_latent_size", 64), "moe_latent_size is set"));
  CHECK(config_of(with(dense, "moe_latent_size", nullptr)) == c);
  CHECK(config_of(nemotron()).router.expert_count == 8);  // the class's
  CHECK(config_of(nemotron()).router.selection_bias);
}

TEST_CASE("Nemotron-H: names of older files, and switches that nobody computes") {
  CHECK(config_of(nemotron()).recurrent.min_step == 0.001);
  CHECK(config_of(with(nemotron(), "time_step_min", 0.01)).recurrent.min_step == 0.01);
  CHECK(config_of(with(nemotron(), "mamba_d_conv", 3)).recurrent.conv_kernel == 3);
  CHECK(config_of(with(nemotron(), "mamba_n_groups", 3)).recurrent.key_heads == 3);
  json older = without(nemotron(), "head_dim");
  CHECK(config_of(older).head_dim == 128);
  CHECK(config_of(with(older, "attention_head_dim", 24)).head_dim == 24);
  CHECK(config_of(with(nemotron(), "expand", 7)) == config_of(nemotron()));  // the width is heads times theirs
  const auto any_limit = moe::arch::recognise_hf_config(with_word(nemotron(), "time_step_limit", "[0.0, Infinity]"));
  REQUIRE(any_limit.has_value());
  CHECK(any_limit->config == config_of(nemotron()));
  CHECK(any_limit->unread_keys.empty());
  for (const char* key : {"use_bias", "mlp_bias", "attention_bias", "mamba_proj_bias"}) {
    CAPTURE(key);
    CHECK(refuses(with(nemotron(), key, true), key));
    CHECK(config_of(with(nemotron(), key, false)) == config_of(nemotron()));
  }
  CHECK(refuses(with(nemotron(), "mlp_hidden_act", "silu"), "mlp_hidden_act is 'silu', expected 'relu2'"));
  CHECK(refuses(with(nemotron(), "mamba_hidden_act", "gelu"), "mamba_hidden_act is 'gelu'"));
  CHECK(refuses(with(nemotron(), "sliding_window", 128), "sliding_window"));
}

}  // namespace mamba_hybrids_test

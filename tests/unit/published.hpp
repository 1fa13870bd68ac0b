#pragma once
// tests/data/published: the hyper-parameters of published models, read here a second time.

#include <map>
#include <nlohmann/json.hpp>

#include "moe/config.hpp"
#include "support.hpp"

namespace moe_test {

inline std::int64_t integer(const nlohmann::json& j, const char* key, std::int64_t fallback) {
  return j.contains(key) && j[key].is_number_integer() ? j[key].get<std::int64_t>() : fallback;
}

/// Layers, states and FFNs of Granite 4.0-H and Nemotron-H.
inline void add_mamba(const nlohmann::json& j, moe::ModelConfig& c) {
  const bool nemotron = c.family == "nemotron_h";
  const auto number = [&](const char* of_nemotron, const char* of_granite) {
    return j[nemotron ? of_nemotron : of_granite].get<std::int64_t>();
  };
  c.recurrent = {.conv_kernel = number("conv_kernel", "mamba_d_conv"),
                 .key_heads = number("n_groups", "mamba_n_groups"),
                 .heads = number("mamba_num_heads", "mamba_n_heads"),
                 .key_dim = number("ssm_state_size", "mamba_d_state"),
                 .value_dim = number("mamba_head_dim", "mamba_d_head"),
                 .conv_bias = true};
  c.mixers.assign(static_cast<std::size_t>(c.layer_count), moe::Mixer::mamba2);
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    const auto at = static_cast<std::size_t>(l);
    const std::string kind = nemotron ? j["hybrid_override_pattern"].get<std::string>().substr(at, 1)
                                      : j["layer_types"][at].get<std::string>();
    if (kind == "*" || kind == "attention") c.mixers[at] = moe::Mixer::attention;
    if (kind == "E" || kind == "-")
      c.mixers[at] = moe::Mixer::none;
    else if (nemotron)
      c.no_ffn_layers.push_back(l);
  }
  if (nemotron) c.activation = moe::Activation::relu_square;
  c.shared_expert_count = c.router.expert_count > 0 ? 1 : 0;
  c.router.selection_bias = nemotron && c.router.expert_count > 0;
  if (c.router.expert_count > 0)
    c.shared_expert_intermediate_size = number("moe_shared_expert_intermediate_size", "shared_intermediate_size");
}

/// Layers and states of Qwen3-Next and LFM2-MoE, and the indexer of DeepSeek-V3.2.
inline void add_newer_layers(const nlohmann::json& j, moe::ModelConfig& c) {
  const auto layers = static_cast<std::size_t>(c.layer_count);
  if (c.family == "qwen3_next") {
    c.qk_norm = moe::QkNorm::head, c.attention_gate = true;
    c.mixers.assign(layers, moe::Mixer::delta_net);
    for (std::size_t l = 3; l < layers; l += 4) c.mixers[l] = moe::Mixer::attention;
    c.recurrent = {.conv_kernel = j["linear_conv_kernel_dim"].get<std::int64_t>(),
                   .key_heads = j["linear_num_key_heads"].get<std::int64_t>(),
                   .heads = j["linear_num_value_heads"].get<std::int64_t>(),
                   .key_dim = j["linear_key_head_dim"].get<std::int64_t>(),
                   .value_dim = j["linear_value_head_dim"].get<std::int64_t>()};
  }
  if (c.family == "lfm2_moe") {
    c.qk_norm = moe::QkNorm::head, c.router.selection_bias = true;
    c.first_k_dense_replace = j["num_dense_layers"].get<std::int64_t>();
    c.recurrent.conv_kernel = j["conv_L_cache"].get<std::int64_t>();
    for (const auto& kind : j["layer_types"])
      c.mixers.push_back(kind == "conv" ? moe::Mixer::short_conv : moe::Mixer::attention);
  }
  if (c.family == "deepseek_v32")
    c.indexer = {.head_count = j["index_n_heads"].get<std::int64_t>(),
                 .head_dim = j["index_head_dim"].get<std::int64_t>(),
                 .top_k = j["index_topk"].get<std::int64_t>()};
}

/// Shapes alone, for every family whose closed form is in flops.hpp, loaded or not. Written here on purpose: the
/// library's readers are another route from the same file to the same numbers.
inline moe::ModelConfig shapes_of(const nlohmann::json& file) {
  const nlohmann::json& j = file.contains("text_config") ? file["text_config"] : file;
  moe::ModelConfig c;
  c.family = j["model_type"].get<std::string>();
  c.layer_count = j["num_hidden_layers"].get<std::int64_t>();
  c.hidden_size = j["hidden_size"].get<std::int64_t>();
  c.vocab_size = j["vocab_size"].get<std::int64_t>();
  c.tie_word_embeddings = j["tie_word_embeddings"].get<bool>();
  c.head_count = j["num_attention_heads"].get<std::int64_t>();
  c.kv_head_count = j["num_key_value_heads"].get<std::int64_t>();
  c.intermediate_size = j["intermediate_size"].get<std::int64_t>();
  if (j.contains("kv_lora_rank")) {
    c.attention = moe::AttentionKind::mla;
    c.q_lora_rank = integer(j, "q_lora_rank", 0);
    c.kv_lora_rank = j["kv_lora_rank"].get<std::int64_t>();
    c.qk_nope_head_dim = j["qk_nope_head_dim"].get<std::int64_t>();
    c.qk_rope_head_dim = j["qk_rope_head_dim"].get<std::int64_t>();
    c.v_head_dim = j["v_head_dim"].get<std::int64_t>();
  } else {
    c.head_dim = c.v_head_dim = integer(j, "head_dim", c.hidden_size / c.head_count);
    c.qkv_bias = c.family == "qwen2" || c.family == "qwen2_moe" || c.family == "gpt_oss" || c.family == "glm4_moe" ||
                 c.family == "seed_oss";
    if (c.family == "olmoe" || c.family == "minimax_m2" || c.family == "olmo2" || c.family == "olmo3")
      c.qk_norm = moe::QkNorm::projection;
    if (c.family == "glm4_moe" && j["use_qk_norm"].get<bool>()) c.qk_norm = moe::QkNorm::head;
    if (c.family == "gpt_oss") {
      c.o_bias = c.attention_sinks = c.expert_bias = c.router_bias = true;
      c.sliding_window = j["sliding_window"].get<std::int64_t>();
      for (std::int64_t l = 0; l < c.layer_count; l += 2) c.sliding_layers.push_back(l);
    }
    c.pre_norms = c.family != "olmo2" && c.family != "olmo3";
    c.post_norms = !c.pre_norms || c.family == "gemma2" || c.family == "gemma3_text";
    for (const char* family : {"qwen3", "qwen3_moe", "dots1", "hunyuan_v1_moe", "gemma3_text", "hy_v3"})
      if (c.family == family) c.qk_norm = moe::QkNorm::head;
  }
  for (const char* key : {"n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts"})
    c.router.expert_count = integer(j, key, c.router.expert_count);
  if (c.router.expert_count > 0) {
    for (const char* key : {"num_experts_per_tok", "moe_topk", "moe_k"})
      c.router.top_k = integer(j, key, c.router.top_k);
    for (const char* family : {"glm4_moe", "minimax_m2", "dots1", "ernie4_5_moe", "hy_v3"})
      if (c.family == family) c.router.selection_bias = true;
    if (j.value("topk_method", std::string{}) == "noaux_tc") c.router.selection_bias = true;
    c.moe_intermediate_size = integer(j, "moe_intermediate_size", c.intermediate_size);
    for (const char* key : {"n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts"})
      c.shared_expert_count = integer(j, key, c.shared_expert_count);
    for (const char* key : {"first_k_dense_replace", "moe_layer_start_index"})
      c.first_k_dense_replace = integer(j, key, c.first_k_dense_replace);
    if (j.contains("shared_expert_intermediate_size")) {
      c.shared_expert_count = 1;
      c.shared_expert_intermediate_size = j["shared_expert_intermediate_size"].get<std::int64_t>();
      c.shared_expert_gate = true;
    }
    c.mtp_layer_count = integer(j, "num_nextn_predict_layers", 0);
    c.mtp_shares_ends = c.family == "hy_v3";
  }
  if (c.family == "granitemoehybrid" || c.family == "nemotron_h") add_mamba(j, c);
  add_newer_layers(j, c);
  return c;
}

inline std::map<std::string, moe::ModelConfig> published() {
  std::map<std::string, moe::ModelConfig> out;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/published"))
    if (entry.is_directory())
      out[entry.path().filename().string()] =
          shapes_of(nlohmann::json::parse(moe_test::read_file(entry.path() / "config.json")));
  REQUIRE_FALSE(out.empty());
  return out;
}

}  // namespace moe_test

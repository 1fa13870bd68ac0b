#include "arch/common.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace moe::inline MOE_ABI::arch {

namespace {

/// The activation must be the one that the family computes with.
void check_activation(const JsonConfig& json, Activation activation) {
  const bool gelu = activation == Activation::gelu_tanh;
  const char* key = gelu ? "hidden_activation" : "hidden_act";
  const char* expected = gelu ? "gelu_pytorch_tanh" : "silu";
  const std::string found = json.string_or(key, "null");
  if (found != expected && !(found == "swish" && !gelu))  // another name of silu
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is '{}', expected '{}'", key, found.substr(0, 60), expected));
}

}  // namespace

ModelConfig read_common(const JsonConfig& json, std::string_view family, Activation activation) {
  ModelConfig c;
  c.family = family;
  c.layer_count = json.integer("num_hidden_layers", 1, kMaxLayers);
  c.hidden_size = json.integer("hidden_size", 1, kMaxWidth);
  c.vocab_size = json.integer("vocab_size", 1, kMaxVocabulary);
  c.head_count = json.integer("num_attention_heads", 1, kMaxWidth);
  c.intermediate_size = json.integer("intermediate_size", 0, kMaxWidth);
  c.max_position = json.integer("max_position_embeddings", 1, kMaxPosition);
  c.rms_norm_eps = json.number("rms_norm_eps");
  c.tie_word_embeddings = json.boolean("tie_word_embeddings");
  c.activation = activation;
  check_activation(json, activation);
  return c;
}

ModelConfig read_common(GgufConfig& meta, std::string_view family) {
  ModelConfig c;
  c.family = family;
  c.layer_count = meta.integer("block_count", 1, kMaxLayers);
  c.hidden_size = meta.integer("embedding_length", 1, kMaxWidth);
  c.head_count = meta.integer("attention.head_count", 1, kMaxWidth);
  c.intermediate_size = meta.integer_or("feed_forward_length", 0, 0, kMaxWidth);
  c.max_position = meta.integer("context_length", 1, kMaxPosition);
  c.rms_norm_eps = meta.number("attention.layer_norm_rms_epsilon");
  // The vocabulary is what the embedding has: vocab_size is optional metadata, and the token list may be padded.
  if (const checkpoint::TensorInfo* embedding = meta.file().find("token_embd.weight"))
    c.vocab_size = embedding->rows();
  else
    meta.refuse(ErrorCode::not_found, "tensor token_embd.weight is missing");
  c.tie_word_embeddings = meta.file().find("output.weight") == nullptr;
  return c;
}

void read_gqa(const JsonConfig& json, ModelConfig& c) {
  c.kv_head_count = json.integer_or("num_key_value_heads", c.head_count, 1, kMaxWidth);
  c.head_dim = json.integer_or("head_dim", c.hidden_size / c.head_count, 1, kMaxWidth);
  c.v_head_dim = c.head_dim;
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
}

void read_gqa(GgufConfig& meta, ModelConfig& c) {
  c.kv_head_count = meta.integer_or("attention.head_count_kv", c.head_count, 1, kMaxWidth);
  c.head_dim = meta.integer_or("attention.key_length", c.hidden_size / c.head_count, 1, kMaxWidth);
  c.v_head_dim = meta.integer_or("attention.value_length", c.head_dim, 1, kMaxWidth);
  if (c.v_head_dim != c.head_dim)
    meta.refuse(ErrorCode::unsupported, fmt::format("attention.value_length is {}, expected attention.key_length ({})",
                                                    c.v_head_dim, c.head_dim));
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
}

void read_qkv_bias(const GgufConfig& meta, ModelConfig& c) {
  for (const Role role : {Role::q_bias, Role::k_bias, Role::v_bias, Role::qkv_bias})
    if (meta.file().find(tensor_name(checkpoint::Kind::gguf, role)) != nullptr) c.qkv_bias = true;
}

double yarn_mscale(double factor, double s) { return factor <= 1.0 ? 1.0 : 0.1 * s * std::log(factor) + 1.0; }

void read_experts(GgufConfig& meta, std::string_view width_key, ModelConfig& c) {
  c.router.expert_count = meta.integer("expert_count", 1, kMaxExperts);
  c.router.top_k = meta.integer("expert_used_count", 1, kMaxExperts);
  c.moe_intermediate_size = meta.integer(width_key, 1, kMaxWidth);
}

void read_groups(GgufConfig& meta, ModelConfig& c) {
  c.router.group_count = meta.integer_or("expert_group_count", 1, 1, kMaxExperts);
  c.router.topk_group = meta.integer_or("expert_group_used_count", 1, 1, kMaxExperts);
}

void dense_without_router(const GgufConfig& meta, ModelConfig& c) {
  const auto has = [&](Role role, std::int64_t l) {
    return meta.file().find(tensor_name(checkpoint::Kind::gguf, role, l)) != nullptr;
  };
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (c.layer_is_moe(l) && !has(Role::router, l) && (has(Role::gate, l) || has(Role::up, l) || has(Role::down, l)))
      c.mlp_only_layers.push_back(l);
}

void read_noaux_tc(GgufConfig& meta, ModelConfig& c) {
  read_experts(meta, "expert_feed_forward_length", c);
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count -= c.mtp_layer_count;  // block_count counts them
  c.first_k_dense_replace = meta.integer_or("leading_dense_block_count", 0, 0, kMaxLayers);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 0, 0, kMaxExperts);
  read_groups(meta, c);
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", false);
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
}

void read_noaux_tc(const JsonConfig& json, ModelConfig& c) {
  c.first_k_dense_replace = json.integer("first_k_dense_replace", 0, kMaxLayers);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);  // DeepSeek's own files: null is none
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.group_count = json.integer("n_group", 1, kMaxExperts);
  c.router.topk_group = json.integer("topk_group", 1, kMaxExperts);
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  c.router.routed_scaling_factor = json.number("routed_scaling_factor");
}

void keep_moe_layers(std::int64_t step, std::int64_t first, std::int64_t last, ModelConfig& c) {
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer)
    if (c.layer_is_moe(layer) && ((layer + 1) % step != 0 || layer < first || layer > last))
      c.mlp_only_layers.push_back(layer);
}

void read_windows(const JsonConfig& json, bool used, const std::function<bool(std::int64_t)>& slides, ModelConfig& c) {
  const std::vector<std::string> types = json.strings_or_empty("layer_types");
  if (!types.empty() && static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: layer_types has {} entries, expected {} (num_hidden_layers)",
                                   types.size(), c.layer_count));
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    const std::string type = types.empty() ? "" : types[static_cast<std::size_t>(layer)];
    if (types.empty() ? used && slides(layer) : type == "sliding_attention")
      c.sliding_layers.push_back(layer);
    else if (!types.empty() && type != "full_attention" && type != "attention")  // the older name of the same
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: layer_types holds '{}', expected 'sliding_attention' or 'full_attention'",
                              type.substr(0, 60)));
  }
  json.in_file("sliding_window");
  if (!c.sliding_layers.empty() && !used)
    json.refuse(
        ErrorCode::bad_config,
        "config.json: layer_types holds 'sliding_attention', but use_sliding_window or sliding_window is not set");
  if (!c.sliding_layers.empty()) c.sliding_window = json.integer("sliding_window", 1, kMaxPosition);
}

namespace {

void set_window_of_all(std::int64_t window, ModelConfig& c) {
  c.sliding_window = window;
  for (std::int64_t layer = 0; layer < c.layer_count && window > 0; ++layer) c.sliding_layers.push_back(layer);
}

}  // namespace

void read_window_of_all(const JsonConfig& json, ModelConfig& c) {
  set_window_of_all(json.integer_or("sliding_window", 0, 1, kMaxPosition), c);
}
void read_window_of_all(GgufConfig& meta, ModelConfig& c) {
  set_window_of_all(meta.integer_or("attention.sliding_window", 0, 0, kMaxPosition), c);
}

void read_dense_layers(const JsonConfig& json, std::int64_t leading, ModelConfig& c) {
  constexpr std::string_view kFirst = "first_k_dense_replace", kTypes = "mlp_layer_types";
  c.first_k_dense_replace = json.in_file(kFirst) ? json.integer(kFirst, 0, kMaxLayers) : leading;
  const std::vector<std::string> types = json.strings_or_empty(kTypes);
  if (types.empty()) return;
  if (static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} has {} entries, expected {} (num_hidden_layers)", json.path(kTypes),
                                   types.size(), c.layer_count));
  const auto dense = [&](std::int64_t l) { return types[static_cast<std::size_t>(l)] == "dense"; };
  std::int64_t first = 0;
  while (first < c.layer_count && dense(first)) ++first;
  for (std::int64_t l = first; l < c.layer_count; ++l) {
    const std::string& type = types[static_cast<std::size_t>(l)];
    if (dense(l))
      c.mlp_only_layers.push_back(l);
    else if (type != "sparse")
      return json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} holds '{}', expected 'dense' or 'sparse'",
                                                            json.path(kTypes), type.substr(0, 60)));
  }
  if (json.in_file(kFirst) && (std::min(c.first_k_dense_replace, c.layer_count) != first || !c.mlp_only_layers.empty()))
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: {} is {}, but {} has other dense layers, expected the same of both",
                                   json.path(kFirst), c.first_k_dense_replace, json.path(kTypes)));
  c.first_k_dense_replace = first;
}

void read_windows(GgufConfig& meta, std::int64_t period, ModelConfig& c) {
  if (meta.integer_or("attention.sliding_window", 0, 0, kMaxPosition) == 0) return;
  c.sliding_window = meta.integer("attention.sliding_window", 1, kMaxPosition);
  constexpr std::string_view kPattern = "attention.sliding_window_pattern";
  const std::vector<std::int64_t> pattern = meta.list_or_empty(kPattern);
  if (!pattern.empty() && static_cast<std::int64_t>(pattern.size()) != c.layer_count)
    return meta.refuse(ErrorCode::bad_config, fmt::format("{} has {} entries, expected {} (block_count)", kPattern,
                                                          pattern.size(), c.layer_count));
  if (pattern.empty()) period = meta.integer_or(kPattern, period, 1, kMaxLayers);
  for (std::int64_t l = 0; l < c.layer_count; ++l)
    if (pattern.empty() ? (l + 1) % period != 0 : pattern[static_cast<std::size_t>(l)] != 0)
      c.sliding_layers.push_back(l);
}

void read_soft_caps(const JsonConfig& json, ModelConfig& c) {
  c.attn_logit_softcapping = json.number_or("attn_logit_softcapping", 0.0);
  c.final_logit_softcapping = json.number_or("final_logit_softcapping", 0.0);
}

// Converters leave a key out where the model does not cap.
void read_soft_caps(GgufConfig& meta, ModelConfig& c) {
  c.attn_logit_softcapping = meta.number_or("attn_logit_softcapping", 0.0);
  c.final_logit_softcapping = meta.number_or("final_logit_softcapping", 0.0);
}

Quantization read_quantization(const JsonConfig& json) {
  Quantization q;
  if (!json.has("quantization_config")) return q;
  const JsonConfig config = json.object("quantization_config");
  const std::string method = config.string_or("quant_method", "");
  if (method == "mxfp4") {
    q.method = Quantization::Method::mxfp4;
  } else if (method == "fp8" && config.string_or("fmt", "e4m3") == "e4m3") {
    q.method = Quantization::Method::fp8;
    const std::vector<std::int64_t> block = config.integers_or_empty("weight_block_size");
    if (block.size() == 2 && block[0] > 0 && block[1] > 0 && block[0] <= kMaxWidth && block[1] <= kMaxWidth)
      q.block_rows = block[0], q.block_columns = block[1];
    else
      json.refuse(ErrorCode::unsupported,
                  "config.json: quantization_config.weight_block_size is not two positive integers, "
                  "which libmoe expects of quant_method 'fp8'");
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: quantization_config.quant_method is '{}', fmt '{}', expected "
                            "'fp8' with fmt 'e4m3', or 'mxfp4'",
                            method.substr(0, 60), config.string_or("fmt", "").substr(0, 60)));
  }
  return q;
}

}  // namespace moe::inline MOE_ABI::arch

#include "arch/common.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <span>

namespace moe::inline MOE_ABI::arch {

ModelConfig read_common(const JsonConfig& json, std::string_view family) {
  ModelConfig c;
  c.family = family;
  c.layer_count = json.integer("num_hidden_layers", 1, kMaxLayers);
  c.hidden_size = json.integer("hidden_size", 1, kMaxWidth);
  c.vocab_size = json.integer("vocab_size", 1, kMaxVocabulary);
  c.head_count = json.integer("num_attention_heads", 1, kMaxWidth);
  c.intermediate_size = json.integer_or("intermediate_size", 0, 0, kMaxWidth);
  c.max_position = json.integer("max_position_embeddings", 1, kMaxPosition);
  c.rms_norm_eps = json.number_or("rms_norm_eps", 1e-6);
  c.tie_word_embeddings = json.boolean_or("tie_word_embeddings", false);
  refuse_unknown_arithmetic(json);
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

namespace {

// transformers: an explicit attention_factor wins; else mscale and mscale_all_dim (DeepSeek) or m(1) (Qwen).
void apply_yarn(double mscale, double mscale_all_dim, double explicit_factor, RopeConfig& rope, ModelConfig& c) {
  if (explicit_factor > 0.0)
    rope.attention_factor = explicit_factor;
  else if (mscale != 0.0 && mscale_all_dim != 0.0)
    rope.attention_factor = yarn_mscale(rope.factor, mscale) / yarn_mscale(rope.factor, mscale_all_dim);
  else
    rope.attention_factor = yarn_mscale(rope.factor, 1.0);
  if (c.attention == AttentionKind::mla && mscale_all_dim != 0.0) {
    const double m = yarn_mscale(rope.factor, mscale_all_dim);
    c.softmax_scale *= m * m;
  }
}

}  // namespace

void read_partial_rotary(const JsonConfig& json, double fallback, ModelConfig& c) {
  const JsonConfig parameters = json.object("rope_parameters");
  const double factor = parameters.has("partial_rotary_factor") ? parameters.number("partial_rotary_factor")
                                                                : json.number_or("partial_rotary_factor", fallback);
  if (factor > 0.0 && factor <= 1.0) c.rotary_dim = static_cast<std::int64_t>(static_cast<double>(c.head_dim) * factor);
  if (c.rotary_dim < 2 || c.rotary_dim % 2 != 0)
    json.refuse(ErrorCode::bad_config,
                fmt::format("config.json: partial_rotary_factor is {}, expected a part of a head of "
                            "{} values that is an even number of them",
                            factor, c.head_dim));
}

void read_partial_rotary(GgufConfig& meta, ModelConfig& c) {
  c.rotary_dim = meta.integer_or("rope.dimension_count", c.head_dim, 2, c.head_dim);
  if (c.rotary_dim % 2 != 0)
    meta.refuse(ErrorCode::bad_config,
                fmt::format("rope.dimension_count is {}, expected an even number", c.rotary_dim));
}

void read_rope(const JsonConfig& json, RopeStyle style, ModelConfig& c) {
  const JsonConfig parameters = json.object("rope_parameters");
  const bool version5 = json.has("rope_parameters");
  for (const JsonConfig& place : {json, parameters})
    if (c.rotary_dim == 0 && place.number_or("partial_rotary_factor", 1.0) != 1.0)
      json.refuse(ErrorCode::unsupported,
                  "config.json: partial_rotary_factor is not 1, which libmoe does not support here");
  const JsonConfig scaling = version5 ? parameters : json.object("rope_scaling");
  c.rope.style = style;
  c.rope.theta = version5 && parameters.has("rope_theta") ? parameters.number("rope_theta")
                                                          : json.number_or("rope_theta", 10000.0);
  read_scaling(json, scaling, c.rope, c);
}

void read_scaling(const JsonConfig& json, const JsonConfig& scaling, RopeConfig& rope, ModelConfig& c) {
  const std::string type =
      scaling.has("rope_type") ? scaling.string_or("rope_type", "default") : scaling.string_or("type", "default");
  if (type == "default") return;
  rope.factor = scaling.number("factor");
  rope.original_max_position = scaling.integer_or(
      "original_max_position_embeddings",
      json.integer_or("original_max_position_embeddings", c.max_position, 1, kMaxPosition), 1, kMaxPosition);
  if (type == "linear") {
    rope.scaling = RopeScaling::linear;
  } else if (type == "llama3") {
    rope.scaling = RopeScaling::llama3;
    rope.low_freq_factor = scaling.number("low_freq_factor");
    rope.high_freq_factor = scaling.number("high_freq_factor");
  } else if (type == "yarn") {
    rope.scaling = RopeScaling::yarn;
    rope.beta_fast = scaling.number_or("beta_fast", 32.0);
    rope.beta_slow = scaling.number_or("beta_slow", 1.0);
    rope.truncate = scaling.boolean_or("truncate", true);
    apply_yarn(scaling.number_or("mscale", 0.0), scaling.number_or("mscale_all_dim", 0.0),
               scaling.number_or("attention_factor", 0.0), rope, c);
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: rope type '{}' is not known (known: default, linear, llama3, yarn)",
                            type.substr(0, 60)));
  }
}

namespace {

// Llama 3.1's rule stands in the file as a divisor per rotated pair.
void read_rope_factors(GgufConfig& meta, const checkpoint::TensorInfo& tensor, ModelConfig& c) {
  const std::int64_t pairs = c.rotated_dim() / 2;
  if (tensor.shape != std::vector<std::int64_t>{pairs} || tensor.format != Format::f32)
    return meta.refuse(ErrorCode::bad_shape,
                       fmt::format("tensor {} has shape [{}] of {}, expected [{}] of f32", tensor.name,
                                   fmt::join(tensor.shape, ", "), format_name(tensor.format), pairs));
  std::vector<float> values(static_cast<std::size_t>(pairs));
  if (auto ok = meta.file().read(tensor, 0, std::as_writable_bytes(std::span(values))); !ok)
    return meta.refuse(ok.error().code, ok.error().message);
  c.rope.scaling = RopeScaling::factors;
  c.rope.factor = 1.0;
  c.rope.frequency_factors.assign(values.begin(), values.end());
}

}  // namespace

void read_rope(GgufConfig& meta, RopeStyle style, ModelConfig& c) {
  c.rope.style = style;
  c.rope.theta = meta.number_or("rope.freq_base", 10000.0);
  // A part of a head is turned where the family says so (read_partial_rotary), else all of it.
  if (const std::int64_t turned = meta.integer_or("rope.dimension_count", c.rotated_dim(), 1, kMaxWidth);
      turned != c.rotated_dim())
    meta.refuse(ErrorCode::unsupported,
                fmt::format("rope.dimension_count is {}, expected {} (the whole head)", turned, c.rotated_dim()));
  // Files from before rope.scaling.type give a factor alone, which is a linear one.
  const double linear = meta.number_or("rope.scaling.factor", meta.number_or("rope.scale_linear", 1.0));
  const std::string type = meta.string_or("rope.scaling.type", linear > 0.0 && linear != 1.0 ? "linear" : "none");
  const checkpoint::TensorInfo* factors = meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::rope_factors));
  if (factors != nullptr && type != "none")
    return meta.refuse(ErrorCode::unsupported,
                       fmt::format("tensor {} stands beside rope.scaling.type '{}', expected one of the two",
                                   factors->name, type.substr(0, 60)));
  if (factors != nullptr) return read_rope_factors(meta, *factors, c);
  if (type == "none") return;
  c.rope.factor = type == "linear" ? linear : meta.number("rope.scaling.factor");
  c.rope.original_max_position =
      meta.integer_or("rope.scaling.original_context_length", c.max_position, 1, kMaxPosition);
  if (type == "linear") {
    c.rope.scaling = RopeScaling::linear;
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::yarn;
    c.rope.beta_fast = meta.number_or("rope.scaling.yarn_beta_fast", 32.0);
    c.rope.beta_slow = meta.number_or("rope.scaling.yarn_beta_slow", 1.0);
    // The converter stores 0.1 * mscale_all_dim and drops mscale; published models have mscale == mscale_all_dim. The
    // float32 in the file is rounded back to the short decimal that it came from.
    const double multiplier = meta.number_or("rope.scaling.yarn_log_multiplier", 0.0);
    const double all_dim = std::round(multiplier * 10.0 * 1e5) / 1e5;
    const double factor =
        meta.number_or("rope.scaling.yarn_attn_factor", meta.number_or("rope.scaling.attn_factor", 0.0));
    apply_yarn(all_dim, all_dim, factor, c.rope, c);
  } else {
    meta.refuse(ErrorCode::unsupported,
                fmt::format("rope.scaling.type '{}' is not known (known: none, linear, yarn)", type.substr(0, 60)));
  }
}

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

void read_noaux_tc(const JsonConfig& json, bool norm_topk_prob, ModelConfig& c) {
  c.first_k_dense_replace = json.integer_or("first_k_dense_replace", 0, 0, kMaxLayers);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer_or("n_shared_experts", 0, 0, kMaxExperts);
  c.router.expert_count = json.integer("n_routed_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.group_count = json.integer_or("n_group", 1, 1, kMaxExperts);
  c.router.topk_group = json.integer_or("topk_group", 1, 1, kMaxExperts);
  c.router.score = RouterScore::sigmoid;
  c.router.group_score = GroupScore::top2_sum;
  c.router.selection_bias = true;
  c.router.norm_topk_prob = json.boolean_or("norm_topk_prob", norm_topk_prob);
  c.router.routed_scaling_factor = json.number_or("routed_scaling_factor", 1.0);
  if (json.string_or("scoring_func", "sigmoid") != "sigmoid" || json.string_or("topk_method", "noaux_tc") != "noaux_tc")
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: scoring_func '{}' with topk_method '{}', expected "
                            "'sigmoid' with 'noaux_tc'",
                            json.string_or("scoring_func", "sigmoid"), json.string_or("topk_method", "noaux_tc")));
}

void keep_moe_layers(std::int64_t step, std::int64_t first, std::int64_t last, ModelConfig& c) {
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer)
    if (c.layer_is_moe(layer) && ((layer + 1) % step != 0 || layer < first || layer > last))
      c.mlp_only_layers.push_back(layer);
}

void full_attention_only(const JsonConfig& json) {
  for (const std::string& type : json.strings_or_empty("layer_types"))
    if (type != "full_attention")
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: layer_types holds '{}', expected 'full_attention'", type.substr(0, 60)));
  refuse_true(json, {"use_sliding_window"});
}

void refuse_true(const JsonConfig& json, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys)
    if (json.boolean_or(key, false))
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} is true, which libmoe does not support here", key));
}

void refuse_unknown_arithmetic(const JsonConfig& json) {
  const std::string activation = json.string_or("hidden_act", "silu");
  if (activation != "silu")
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: hidden_act is '{}', expected 'silu'", activation.substr(0, 60)));
}

void read_windows(const JsonConfig& json, std::int64_t period, ModelConfig& c) {
  const std::vector<std::string> types = json.strings_or_empty("layer_types");
  if (!types.empty() && static_cast<std::int64_t>(types.size()) != c.layer_count)
    return json.refuse(ErrorCode::bad_config,
                       fmt::format("config.json: layer_types has {} entries, expected {} (num_hidden_layers)",
                                   types.size(), c.layer_count));
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    if (types.empty() ? (layer + 1) % period != 0 : types[static_cast<std::size_t>(layer)] == "sliding_attention")
      c.sliding_layers.push_back(layer);
    else if (!types.empty() && types[static_cast<std::size_t>(layer)] != "full_attention")
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: layer_types holds '{}', expected 'sliding_attention' or 'full_attention'",
                              types[static_cast<std::size_t>(layer)].substr(0, 60)));
  }
  if (!c.sliding_layers.empty()) c.sliding_window = json.integer("sliding_window", 1, kMaxPosition);
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

#include "arch/common.hpp"

#include <fmt/format.h>

#include <cmath>

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

double yarn_mscale(double factor, double s) { return factor <= 1.0 ? 1.0 : 0.1 * s * std::log(factor) + 1.0; }

namespace {

// transformers: an explicit attention_factor wins; else mscale and mscale_all_dim (DeepSeek) or m(1) (Qwen).
void apply_yarn(double factor, double mscale, double mscale_all_dim, double explicit_factor, ModelConfig& c) {
  if (explicit_factor > 0.0)
    c.rope.attention_factor = explicit_factor;
  else if (mscale != 0.0 && mscale_all_dim != 0.0)
    c.rope.attention_factor = yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim);
  else
    c.rope.attention_factor = yarn_mscale(factor, 1.0);
  if (c.attention == AttentionKind::mla && mscale_all_dim != 0.0) {
    const double m = yarn_mscale(factor, mscale_all_dim);
    c.softmax_scale *= m * m;
  }
}

}  // namespace

void read_rope(const JsonConfig& json, RopeStyle style, ModelConfig& c) {
  const JsonConfig parameters = json.object("rope_parameters");
  const bool version5 = json.has("rope_parameters");
  const JsonConfig scaling = version5 ? parameters : json.object("rope_scaling");
  c.rope.style = style;
  c.rope.theta = version5 && parameters.has("rope_theta") ? parameters.number("rope_theta")
                                                          : json.number_or("rope_theta", 10000.0);
  const std::string type = scaling.has("rope_type") ? scaling.string_or("rope_type", "default")
                                                    : scaling.string_or("type", "default");
  if (type == "default") return;
  c.rope.factor = scaling.number("factor");
  c.rope.original_max_position =
      scaling.integer_or("original_max_position_embeddings",
                         json.integer_or("original_max_position_embeddings", c.max_position, 1, kMaxPosition), 1,
                         kMaxPosition);
  if (type == "linear") {
    c.rope.scaling = RopeScaling::linear;
  } else if (type == "llama3") {
    c.rope.scaling = RopeScaling::llama3;
    c.rope.low_freq_factor = scaling.number("low_freq_factor");
    c.rope.high_freq_factor = scaling.number("high_freq_factor");
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::yarn;
    c.rope.beta_fast = scaling.number_or("beta_fast", 32.0);
    c.rope.beta_slow = scaling.number_or("beta_slow", 1.0);
    if (!scaling.boolean_or("truncate", true))
      json.refuse(ErrorCode::unsupported, "config.json: rope_scaling.truncate is false, which libmoe does not support");
    apply_yarn(c.rope.factor, scaling.number_or("mscale", 0.0), scaling.number_or("mscale_all_dim", 0.0),
               scaling.number_or("attention_factor", 0.0), c);
  } else {
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: rope type '{}' is not known (known: default, linear, llama3, yarn)", type));
  }
}

void read_rope(GgufConfig& meta, RopeStyle style, ModelConfig& c) {
  c.rope.style = style;
  c.rope.theta = meta.number_or("rope.freq_base", 10000.0);
  const std::string type = meta.string_or("rope.scaling.type", "none");
  if (meta.file().find("rope_freqs.weight") != nullptr)
    meta.refuse(ErrorCode::unsupported,
                "tensor rope_freqs.weight: per-frequency factors (Llama 3.1) in GGUF files are not supported yet");
  if (type == "none") return;
  c.rope.factor = meta.number("rope.scaling.factor");
  c.rope.original_max_position = meta.integer_or("rope.scaling.original_context_length", c.max_position, 1, kMaxPosition);
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
    apply_yarn(c.rope.factor, all_dim, all_dim, meta.number_or("rope.scaling.attn_factor", 0.0), c);
  } else {
    meta.refuse(ErrorCode::unsupported, fmt::format("rope.scaling.type '{}' is not known (known: none, linear, yarn)", type));
  }
}

void refuse_true(const JsonConfig& json, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys)
    if (json.boolean_or(key, false))
      json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is true, which libmoe does not support here", key));
}

void refuse_unknown_arithmetic(const JsonConfig& json) {
  const std::string activation = json.string_or("hidden_act", "silu");
  if (activation != "silu")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: hidden_act is '{}', expected 'silu'", activation));
  if (json.has("quantization_config"))
    json.refuse(ErrorCode::unsupported,
                "config.json: quantization_config: checkpoints with quantised safetensors are not supported yet");
}

}  // namespace moe::inline MOE_ABI::arch

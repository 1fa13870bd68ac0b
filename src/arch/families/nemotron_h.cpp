// Nemotron-H and Nemotron 3: each layer is one thing, with one norm before it: Mamba-2, attention without RoPE, an FFN
// without a gate, or experts of that kind with DeepSeek-V3's router.
// Source: transformers, modeling_nemotron_h; arXiv:2504.03624; Mamba-2: arXiv:2405.21060.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/hybrid_layers.hpp"
#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {
namespace nemotron_h {

constexpr TensorName kNames[] = {
    {Role::embedding, "backbone.embeddings.weight"},
    {Role::final_norm, "backbone.norm_f.weight"},
    {Role::attention_norm, "backbone.layers.{l}.norm.weight"},
    {Role::ffn_norm, "backbone.layers.{l}.norm.weight"},
    {Role::q, "backbone.layers.{l}.mixer.q_proj.weight"},
    {Role::k, "backbone.layers.{l}.mixer.k_proj.weight"},
    {Role::v, "backbone.layers.{l}.mixer.v_proj.weight"},
    {Role::o, "backbone.layers.{l}.mixer.o_proj.weight"},
    {Role::recurrent_in, "backbone.layers.{l}.mixer.in_proj.weight"},
    {Role::conv, "backbone.layers.{l}.mixer.conv1d.weight"},
    {Role::conv_bias, "backbone.layers.{l}.mixer.conv1d.bias"},
    {Role::recurrent_dt_bias, "backbone.layers.{l}.mixer.dt_bias"},
    {Role::recurrent_a_log, "backbone.layers.{l}.mixer.A_log"},
    {Role::recurrent_skip, "backbone.layers.{l}.mixer.D"},
    {Role::recurrent_norm, "backbone.layers.{l}.mixer.norm.weight"},
    {Role::recurrent_out, "backbone.layers.{l}.mixer.out_proj.weight"},
    {Role::up, "backbone.layers.{l}.mixer.up_proj.weight"},
    {Role::down, "backbone.layers.{l}.mixer.down_proj.weight"},
    {Role::router, "backbone.layers.{l}.mixer.gate.weight"},
    {Role::router_bias, "backbone.layers.{l}.mixer.gate.e_score_correction_bias"},
    {Role::expert_up, "backbone.layers.{l}.mixer.experts.{e}.up_proj.weight"},
    {Role::expert_down, "backbone.layers.{l}.mixer.experts.{e}.down_proj.weight"},
    {Role::shared_up, "backbone.layers.{l}.mixer.shared_experts.up_proj.weight"},
    {Role::shared_down, "backbone.layers.{l}.mixer.shared_experts.down_proj.weight"},
};

constexpr std::string_view kPattern = "hybrid_override_pattern", kTypes = "layers_block_type";
constexpr std::string_view kDefault = "ME*-";  // of the class

/// A layer per letter: M, *, E or -.
void set_layers(std::string_view pattern, ModelConfig& c) {
  c.layer_count = static_cast<std::int64_t>(pattern.size());
  const bool experts = pattern.find('E') != std::string_view::npos;
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    const char kind = pattern[static_cast<std::size_t>(l)];
    c.mixers.push_back(kind == 'M' ? Mixer::mamba2 : kind == '*' ? Mixer::attention : Mixer::none);
    if (c.mixers.back() != Mixer::none) c.no_ffn_layers.push_back(l);
    if (kind == '-' && experts) c.mlp_only_layers.push_back(l);
  }
}

std::string letters_of(const JsonConfig& json) {
  std::string letters;
  for (const std::string& type : json.strings_or_empty(kTypes)) {
    const std::string_view current = current_layer_type(type);
    const char letter = current == "linear_attention" ? 'M'
                        : current == "full_attention" ? '*'
                        : current == "moe"            ? 'E'
                        : current == "mlp"            ? '-'
                                                      : '?';
    if (letter == '?')
      json.refuse(
          ErrorCode::unsupported,
          fmt::format("config.json: {} holds '{}', expected 'linear_attention', 'full_attention', 'moe' or 'mlp'",
                      json.path(kTypes), type.substr(0, 60)));
    letters += letter;
  }
  return letters;
}

/// The older pattern or the list of names; both must say the same.
std::string read_pattern(const JsonConfig& json) {
  std::string pattern = json.string_or(kPattern, "");
  const std::string listed = letters_of(json);
  if (const std::size_t odd = pattern.find_first_not_of("M*E-"); odd != std::string::npos)
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} holds '{}' for layer {}, expected M, *, E or -",
                                                    json.path(kPattern), pattern.substr(odd, 1), odd));
  if (!listed.empty() && !pattern.empty() && listed != pattern)
    json.refuse(ErrorCode::bad_config,
                fmt::format("config.json: {} is '{}' and {} means '{}', expected the same of both", json.path(kPattern),
                            pattern.substr(0, 200), json.path(kTypes), listed.substr(0, 200)));
  if (pattern.empty()) pattern = listed.empty() ? kDefault : listed;
  const auto layers = static_cast<std::int64_t>(pattern.size());
  if (const std::int64_t named = json.integer_or("num_hidden_layers", layers, 1, kMaxLayers); named != layers)
    json.refuse(ErrorCode::bad_config,
                fmt::format("config.json: {} is {}, expected {}, the layers of {}", json.path("num_hidden_layers"),
                            named, layers, json.path(json.has(kPattern) ? kPattern : kTypes)));
  if (layers > kMaxLayers) {
    json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} layers, expected at most {}", layers, kMaxLayers));
    pattern.resize(kMaxLayers);
  }
  return pattern;
}

/// A key, or the name that older files have for it, which counts as in transformers.
std::string_view older(const JsonConfig& json, std::string_view key, std::string_view old) {
  json.has(key);
  return json.in_file(old) ? old : key;
}

void read_mamba(const JsonConfig& json, ModelConfig& c) {
  RecurrentConfig& r = c.recurrent;
  r.conv_kernel = json.integer(older(json, "conv_kernel", "mamba_d_conv"), 1, kMaxTaps);
  r.key_heads = json.integer(older(json, "n_groups", "mamba_n_groups"), 1, kMaxWidth);
  r.heads = json.integer("mamba_num_heads", 1, kMaxWidth);
  r.value_dim = json.integer("mamba_head_dim", 1, kMaxWidth);
  r.key_dim = json.integer("ssm_state_size", 1, kMaxWidth);
  r.conv_bias = json.boolean(older(json, "use_conv_bias", "mamba_conv_bias"));
  r.min_step = json.number(older(json, "time_step_min", "mamba_dt_min"));
  if (const std::string act = json.string_or("mamba_hidden_act", "silu"); act != "silu")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is '{}', expected 'silu'",
                                                    json.path("mamba_hidden_act"), act.substr(0, 60)));
  if (json.boolean("mamba_proj_bias"))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is true, expected false", json.path("mamba_proj_bias")));
}

/// How weights were made before training, how transformers computes and stores, MTP layers, which are not run, and keys
/// that its code does not use: the width of Mamba-2 is heads times their width, steps have no upper limit.
void skip_unused(const JsonConfig& json, ModelConfig& c) {
  for (const char* unused :
       {"expand", "chunk_size", "time_step_max", "time_step_floor", "time_step_limit", "num_logits_to_keep",
        "use_mamba_kernels", "mamba_ssm_cache_dtype", "moe_shared_expert_overlap", "num_nextn_predict_layers",
        "mtp_layers_block_type", "residual_in_fp32", "rescale_prenorm_residual"})
    json.has(unused);
  for (const char* older : {"mamba_expand", "mamba_chunk_size", "mamba_dt_max", "mamba_dt_limit", "mamba_dt_init_floor",
                            "mtp_hybrid_override_pattern"})
    json.in_file(older);
  for (const char* eps : {"rms_norm_eps", "norm_eps"})
    if (json.in_file(eps) && json.number(eps) != c.rms_norm_eps)
      json.note(fmt::format("config.json: {} is {} and layer_norm_epsilon is {}: the latter counts", json.path(eps),
                            json.number(eps), c.rms_norm_eps));
  leave_out_rope(json, c);
}

void read_experts(const JsonConfig& json, ModelConfig& c) {
  read_noaux_router(json, c);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
  c.shared_expert_count = json.integer("n_shared_experts", 1, kMaxExperts);
  // Of all together: transformers does not multiply it by their number.
  c.shared_expert_intermediate_size = json.integer("moe_shared_expert_intermediate_size", 1, kMaxWidth);
  if (json.has("moe_latent_size"))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is set, expected null: experts that read another width than hidden_size "
                            "are not supported",
                            json.path("moe_latent_size")));
}

void read_ffn(const JsonConfig& json, std::string_view pattern, ModelConfig& c) {
  c.activation = Activation::relu_square;
  if (const std::string act = json.string_or("mlp_hidden_act", "null"); act != "relu2")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is '{}', expected 'relu2'",
                                                    json.path("mlp_hidden_act"), act.substr(0, 60)));
  const std::int64_t dense = json.integer("intermediate_size", 1, kMaxWidth);
  if (pattern.find('-') != std::string_view::npos) c.intermediate_size = dense;
  if (pattern.find('E') != std::string_view::npos) return read_experts(json, c);
  for (const char* unused :
       {"n_routed_experts", "num_experts_per_tok", "n_group", "topk_group", "norm_topk_prob", "routed_scaling_factor",
        "moe_intermediate_size", "n_shared_experts", "moe_shared_expert_intermediate_size", "moe_latent_size"})
    json.has(unused);
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c;
  c.family = "nemotron_h";
  const std::string pattern = read_pattern(json);
  set_layers(pattern, c);
  c.hidden_size = json.integer("hidden_size", 1, kMaxWidth);
  c.vocab_size = json.integer("vocab_size", 1, kMaxVocabulary);
  c.max_position = json.integer("max_position_embeddings", 1, kMaxPosition);
  c.head_count = json.integer("num_attention_heads", 1, kMaxWidth);
  c.kv_head_count = json.integer("num_key_value_heads", 1, kMaxWidth);
  const bool older_width = json.in_file("attention_head_dim") && !json.in_file("head_dim");
  c.head_dim = json.integer(older_width ? "attention_head_dim" : "head_dim", 1, kMaxWidth);
  c.v_head_dim = c.head_dim;
  c.softmax_scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  c.rms_norm_eps = json.number("layer_norm_epsilon");
  c.tie_word_embeddings = json.boolean("tie_word_embeddings");
  read_mamba(json, c);
  read_ffn(json, pattern, c);
  skip_unused(json, c);
  return c;
}

constexpr TensorName kGgufNames[] = {
    {Role::ffn_norm, "blk.{l}.attn_norm.weight"},     {Role::recurrent_in, "blk.{l}.ssm_in.weight"},
    {Role::conv, "blk.{l}.ssm_conv1d.weight"},        {Role::conv_bias, "blk.{l}.ssm_conv1d.bias"},
    {Role::recurrent_dt_bias, "blk.{l}.ssm_dt.bias"}, {Role::recurrent_a_log, "blk.{l}.ssm_a"},
    {Role::recurrent_skip, "blk.{l}.ssm_d"},          {Role::recurrent_norm, "blk.{l}.ssm_norm.weight"},
    {Role::recurrent_out, "blk.{l}.ssm_out.weight"},
};

/// Layers with key heads have attention; of the others, the tensors say what they are.
std::string pattern_of(GgufConfig& meta, const ModelConfig& kinds) {
  const auto has = [&](const char* name, std::int64_t l) {
    return meta.file().find(fmt::format("blk.{}.{}.weight", l, name)) != nullptr;
  };
  std::string pattern;
  for (std::int64_t l = 0; l < kinds.layer_count; ++l)
    pattern += kinds.mixer(l) == Mixer::attention ? '*' : has("ssm_in", l) ? 'M' : has("ffn_gate_inp", l) ? 'E' : '-';
  return pattern;
}

/// The width of dense layers: a number, or one per layer.
std::int64_t dense_width(GgufConfig& meta, std::string_view pattern) {
  constexpr std::string_view kKey = "feed_forward_length";
  const std::vector<std::int64_t> list = meta.list_or_empty(kKey);
  if (list.empty()) return meta.integer_or(kKey, 0, 0, kMaxWidth);
  std::int64_t width = 0;
  for (std::size_t l = 0; l < std::min(list.size(), pattern.size()); ++l) {
    if (pattern[l] != '-') continue;
    if (list[l] < 1 || list[l] > kMaxWidth || (width != 0 && list[l] != width))
      meta.refuse(ErrorCode::unsupported, fmt::format("{} is {} in layer {}, expected {}", kKey, list[l], l,
                                                      width == 0 ? "a width" : std::to_string(width)));
    else
      width = list[l];
  }
  return width;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "nemotron_h", FfnWidths::per_layer);
  c.mtp_layer_count = meta.integer_or("nextn_predict_layers", 0, 0, 16);
  c.layer_count = std::max<std::int64_t>(1, c.layer_count - c.mtp_layer_count);  // block_count counts them
  read_layers_by_key_heads(meta, Mixer::mamba2, c);
  const std::string pattern = pattern_of(meta, c);
  c.mixers.clear();
  set_layers(pattern, c);
  read_head_dim(meta, c);
  read_mamba_states(meta, c);
  c.recurrent.min_step = 0.001;  // not stored; every published model has it
  c.activation = Activation::relu_square;
  leave_out_rope(meta, c);
  meta.has("attention.layer_norm_epsilon");  // beside that of RMSNorm
  if (pattern.find('-') != std::string::npos) c.intermediate_size = dense_width(meta, pattern);
  meta.has("feed_forward_length");
  if (pattern.find('E') == std::string::npos) return c;
  read_experts(meta, "expert_feed_forward_length", c);
  read_groups(meta, c);
  set_noaux_rules(c);
  c.router.norm_topk_prob = meta.boolean_or("expert_weights_norm", true);
  c.router.routed_scaling_factor = meta.number_or("expert_weights_scale", 1.0);
  c.shared_expert_intermediate_size = meta.integer("expert_shared_feed_forward_length", 1, kMaxWidth);
  c.shared_expert_count = meta.integer_or("expert_shared_count", 1, 1, kMaxExperts);
  return c;
}

}  // namespace nemotron_h

const Family kNemotronH = {.name = "nemotron_h",
                           .gguf_architecture = "nemotron_h",
                           .hf_architecture = "NemotronHForCausalLM",
                           .from_hf = nemotron_h::from_hf,
                           .from_gguf = nemotron_h::from_gguf,
                           .hf_names = nemotron_h::kNames,
                           .gguf_names = nemotron_h::kGgufNames,
                           .gguf_moe_architecture = "nemotron_h_moe"};

}  // namespace moe::inline MOE_ABI::arch

// Gemma 4 (text): sliding layers and full ones whose heads are larger, in most models without a projection of values; a
// dense FFN and experts side by side in one layer, each with norms of its own; in small models an input of every layer by
// token, and last layers that share keys and values. Source: transformers, modeling_gemma4 and configuration_gemma4.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gemma4 {

constexpr TensorName kNames[] = {
    {Role::layer_embedding, "model.embed_tokens_per_layer.weight"},
    {Role::layer_input, "model.per_layer_model_projection.weight"},
    {Role::layer_input_norm, "model.per_layer_projection_norm.weight"},
    {Role::layer_input_gate, "model.layers.{l}.per_layer_input_gate.weight"},
    {Role::layer_input_up, "model.layers.{l}.per_layer_projection.weight"},
    {Role::post_layer_input_norm, "model.layers.{l}.post_per_layer_input_norm.weight"},
    {Role::layer_scalar, "model.layers.{l}.layer_scalar"},
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::ffn_norm, "model.layers.{l}.pre_feedforward_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
    {Role::post_dense_norm, "model.layers.{l}.post_feedforward_layernorm_1.weight"},
    {Role::expert_norm, "model.layers.{l}.pre_feedforward_layernorm_2.weight"},
    {Role::post_expert_norm, "model.layers.{l}.post_feedforward_layernorm_2.weight"},
    {Role::router_norm, "model.layers.{l}.router.scale"},
    {Role::router, "model.layers.{l}.router.proj.weight"},
    {Role::expert_scale, "model.layers.{l}.router.per_expert_scale"},
    {Role::expert_gate_up, "model.layers.{l}.experts.gate_up_proj"},
    {Role::expert_down_rows, "model.layers.{l}.experts.down_proj"},
    // One tensor per expert, as llm-compressor writes quantised experts.
    {Role::expert_gate, "model.layers.{l}.experts.{e}.gate_proj.weight"},
    {Role::expert_up, "model.layers.{l}.experts.{e}.up_proj.weight"},
    {Role::expert_down, "model.layers.{l}.experts.{e}.down_proj.weight"},
};

constexpr TensorName kGgufNames[] = {
    {Role::layer_embedding, "per_layer_token_embd.weight"},
    {Role::layer_input, "per_layer_model_proj.weight"},
    {Role::layer_input_norm, "per_layer_proj_norm.weight"},
    {Role::layer_input_gate, "blk.{l}.inp_gate.weight"},
    {Role::layer_input_up, "blk.{l}.proj.weight"},
    {Role::post_layer_input_norm, "blk.{l}.post_norm.weight"},
    {Role::layer_scalar, "blk.{l}.layer_output_scale.weight"},
    {Role::post_dense_norm, "blk.{l}.post_ffw_norm_1.weight"},
    {Role::expert_norm, "blk.{l}.pre_ffw_norm_2.weight"},
    {Role::post_expert_norm, "blk.{l}.post_ffw_norm_2.weight"},
    {Role::router_norm, "blk.{l}.ffn_gate_inp.scale"},
    {Role::expert_scale, "blk.{l}.ffn_down_exps.scale"},
};

/// Values of a head, and heads of keys.
struct Heads {
  std::int64_t dim = 0, count = 0;
  bool operator==(const Heads&) const = default;
};

bool has_full(const ModelConfig& c) { return static_cast<std::int64_t>(c.sliding_layers.size()) < c.layer_count; }

// Where all layers are of one kind, their heads are the model's.
void set_heads(const Heads& sliding, const Heads& full, ModelConfig& c) {
  const bool both = has_full(c) && !c.sliding_layers.empty();
  const Heads& usual = c.sliding_layers.empty() ? full : sliding;
  c.head_dim = c.v_head_dim = usual.dim;
  c.kv_head_count = usual.count;
  if (both && full.dim != sliding.dim) c.full_head_dim = full.dim;
  if (both && full.count != sliding.count) c.full_kv_head_count = full.count;
}

void set_common(ModelConfig& c) {
  c.post_norms = c.value_norm = c.layer_scalar = true;
  c.qk_norm = QkNorm::head;
  c.softmax_scale = 1.0;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
  c.activation = Activation::gelu_tanh;
}

void set_experts(ModelConfig& c) {
  c.dense_beside_experts = true;
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = true;
}

/// As in transformers, the last layer sees all keys, whatever the list says.
void read_kinds(const JsonConfig& json, ModelConfig& c) {
  read_windows(
      json, true, [](std::int64_t l) { return (l + 1) % 6 != 0; }, c);
  if (c.sliding_layers.empty() || c.sliding_layers.back() != c.layer_count - 1) return;
  c.sliding_layers.pop_back();
  if (json.in_file("layer_types"))
    json.note(fmt::format("config.json: {} ends with 'sliding_attention': the last layer is full, as in transformers 5",
                          json.path("layer_types")));
}

constexpr std::string_view kPerLayer = "per_layer_config", kFullDim = "global_head_dim",
                           kFullHeads = "num_global_key_value_heads";

/// Heads of every layer as transformers 5 writes them; those of one kind must agree.
Heads read_per_layer(const JsonConfig& json, const Heads& sliding, const ModelConfig& c) {
  const JsonConfig all = json.object(kPerLayer);
  for (const auto& [key, value] : all.value().items()) {
    std::int64_t layer = -1;
    const auto read = std::from_chars(key.data(), key.data() + key.size(), layer);
    if (read.ec != std::errc{} || read.ptr != key.data() + key.size() || layer < 0 || layer >= c.layer_count)
      json.refuse(ErrorCode::bad_config, fmt::format("config.json: {} is found, expected layers from 0 to {}",
                                                     all.path(key.substr(0, 60)), c.layer_count - 1));
  }
  std::optional<Heads> full;
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    const JsonConfig own = all.object(std::to_string(l));
    for (const auto& [key, value] : own.value().items())
      if (key != "head_dim" && key != "num_key_value_heads")
        json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is found, expected head_dim and "
                                                        "num_key_value_heads alone",
                                                        own.path(key.substr(0, 60))));
    const Heads found = {own.integer_or("head_dim", sliding.dim, 1, kMaxWidth),
                         own.integer_or("num_key_value_heads", sliding.count, 1, kMaxWidth)};
    const Heads expected = c.window(l) > 0 ? sliding : full.value_or(found);
    if (c.window(l) == 0 && !full) full = found;
    if (!(found == expected))
      json.refuse(ErrorCode::unsupported,
                  fmt::format("config.json: {} gives {} values and {} key heads, expected {} and {} as in other layers "
                              "of its kind",
                              all.path(std::to_string(l)), found.dim, found.count, expected.dim, expected.count));
  }
  return full.value_or(sliding);
}

/// Heads of full layers from the keys of published files, where per_layer_config does not say them.
Heads read_global(const JsonConfig& json, const Heads& sliding, const ModelConfig& c) {
  Heads full = {512, sliding.count};
  if (json.in_file(kFullDim)) full.dim = json.integer(kFullDim, 1, kMaxWidth);
  const std::int64_t count = json.integer_or(kFullHeads, sliding.count, 1, kMaxWidth);
  if (c.full_key_is_value) full.count = count;  // as in transformers, otherwise not used
  return full;
}

void read_heads(const JsonConfig& json, ModelConfig& c) {
  const Heads sliding = {json.integer("head_dim", 1, kMaxWidth), json.integer("num_key_value_heads", 1, kMaxWidth)};
  c.full_key_is_value = json.boolean("attention_k_eq_v");
  if (!json.has(kPerLayer)) return set_heads(sliding, read_global(json, sliding, c), c);
  const Heads full = read_per_layer(json, sliding, c);
  if (json.in_file(kFullDim) || json.has(kFullHeads)) {
    Heads global = read_global(json, sliding, c);
    if (!json.in_file(kFullDim)) global.dim = full.dim;
    if (!json.has(kFullHeads)) global.count = full.count;
    if (!(global == full))
      json.refuse(ErrorCode::bad_config,
                  fmt::format("config.json: {} and {} give full layers {} values and {} key heads, expected {} and {} "
                              "as in {}",
                              json.path(kFullDim), json.path(kFullHeads), global.dim, global.count, full.dim,
                              full.count, json.path(kPerLayer)));
  }
  set_heads(sliding, full, c);
}

void read_ropes(const JsonConfig& json, ModelConfig& c) {
  const JsonConfig block = rope_block(json);
  if (!block.empty()) {
    if (!block.has("full_attention") || (!c.sliding_layers.empty() && !block.has("sliding_attention")))
      return json.refuse(ErrorCode::bad_config,
                         fmt::format("config.json: {} is missing, expected a block for each kind of layer",
                                     block.path(block.has("full_attention") ? "sliding_attention" : "full_attention")));
    return read_rope(json, RopeStyle::half_split, c, OwnRope::proportional);
  }
  c.rope.theta = 1e6;  // of the class
  c.rope.scaling = RopeScaling::proportional;
  c.rope.rotated_pairs = c.full_rotated_dim() / 8;
  RopeConfig sliding;
  sliding.theta = 1e4;
  set_sliding_rope(sliding, c);
}

void read_moe(const JsonConfig& json, ModelConfig& c) {
  const bool enabled = json.boolean("enable_moe_block");
  for (const char* key : {"num_experts", "top_k_experts", "moe_intermediate_size"}) json.in_file(key);
  if (!enabled) return;
  set_experts(c);
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("top_k_experts", 1, kMaxExperts);
  c.moe_intermediate_size = json.integer("moe_intermediate_size", 1, kMaxWidth);
}

void refuse_others(const JsonConfig& json) {
  if (json.boolean("attention_bias"))
    json.refuse(ErrorCode::unsupported,
                fmt::format("config.json: {} is true, expected false", json.path("attention_bias")));
  // "vision" is about the tokens of images.
  constexpr std::string_view kBoth = "use_bidirectional_attention";
  if (const std::string found = json.string_or(kBoth, "vision"); found != "vision")
    json.refuse(ErrorCode::unsupported, fmt::format("config.json: {} is '{}', expected 'vision' or null",
                                                    json.path(kBoth), found.substr(0, 60)));
}

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "gemma4_text", Activation::gelu_tanh);
  set_common(c);
  refuse_others(json);
  read_kinds(json, c);
  read_heads(json, c);
  read_ropes(json, c);
  c.final_logit_softcapping = json.number_or("final_logit_softcapping", 0.0);
  read_moe(json, c);
  c.kv_shared_layer_count = json.integer("num_kv_shared_layers", 0, kMaxLayers);
  if (json.boolean("use_double_wide_mlp") && c.kv_shared_layer_count > 0)
    c.kv_shared_intermediate_size = 2 * c.intermediate_size;
  c.layer_input_size = json.integer_or("hidden_size_per_layer_input", 0, 0, kMaxWidth);
  json.in_file("vocab_size_per_layer_input");
  if (c.layer_input_size > 0) c.layer_input_vocab_size = json.integer("vocab_size_per_layer_input", 1, kMaxVocabulary);
  return c;
}

/// One number, or one per layer.
std::vector<std::int64_t> per_layer(GgufConfig& meta, std::string_view key, const ModelConfig& c) {
  std::vector<std::int64_t> list = meta.list_or_empty(key);
  if (list.empty()) list.assign(static_cast<std::size_t>(c.layer_count), meta.integer(key, 1, kMaxWidth));
  if (static_cast<std::int64_t>(list.size()) != c.layer_count) {
    meta.refuse(ErrorCode::bad_config,
                fmt::format("{} has {} entries, expected {} (block_count)", key, list.size(), c.layer_count));
    list.resize(static_cast<std::size_t>(c.layer_count), 1);
  }
  return list;
}

/// The number of the layers for which belongs(l), 0 if there are none; `what` they are.
template <class Belongs>
std::int64_t common_number(GgufConfig& meta, std::string_view key, const char* what, const ModelConfig& c,
                           Belongs&& belongs) {
  const std::vector<std::int64_t> list = per_layer(meta, key, c);
  std::int64_t common = 0;
  for (std::int64_t l = 0; l < c.layer_count; ++l) {
    const std::int64_t own = list[static_cast<std::size_t>(l)];
    if (!belongs(l)) continue;
    if (own < 1 || own > kMaxWidth || (common != 0 && own != common))
      meta.refuse(ErrorCode::unsupported,
                  fmt::format("{} is {} in layer {}, expected {} as in other {} layers", key, own, l,
                              common == 0 ? std::string("a number above 0") : std::to_string(common), what));
    if (common == 0) common = std::clamp<std::int64_t>(own, 1, kMaxWidth);
  }
  return common;
}

void read_heads(GgufConfig& meta, ModelConfig& c) {
  const auto dim = [&](std::string_view key, std::string_view value_key, std::int64_t absent) {
    const std::int64_t found = meta.integer_or(key, absent, 1, kMaxWidth);
    if (const std::int64_t value = meta.integer_or(value_key, found, 1, kMaxWidth); value != found)
      meta.refuse(ErrorCode::unsupported, fmt::format("{} is {}, expected {} ({})", value_key, value, key, found));
    return found;
  };
  const std::int64_t full = dim("attention.key_length", "attention.value_length", 512);
  const std::int64_t sliding = dim("attention.key_length_swa", "attention.value_length_swa", full);
  constexpr std::string_view kHeads = "attention.head_count_kv";
  const auto slides = [&](std::int64_t l) { return c.window(l) > 0; };
  set_heads({sliding, common_number(meta, kHeads, "sliding", c, slides)},
            {full, common_number(meta, kHeads, "full", c, [&](std::int64_t l) { return !slides(l); })}, c);
  for (std::int64_t l = 0; l < c.layer_count - c.kv_shared_layer_count && !c.full_key_is_value; ++l)
    c.full_key_is_value = !slides(l) && meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::v, l)) == nullptr;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "gemma4_text", FfnWidths::per_layer);
  set_common(c);
  read_windows(meta, 6, c);
  c.kv_shared_layer_count = meta.integer_or("attention.shared_kv_layers", 0, 0, kMaxLayers);
  read_heads(meta, c);
  read_proportional_rope(meta, c);
  constexpr std::string_view kWidths = "feed_forward_length";
  const auto shares = [&](std::int64_t l) { return !c.has_keys(l); };
  c.intermediate_size = common_number(meta, kWidths, "first", c, [&](std::int64_t l) { return !shares(l); });
  if (const std::int64_t wide = common_number(meta, kWidths, "last", c, shares); wide != c.intermediate_size)
    c.kv_shared_intermediate_size = wide;
  c.final_logit_softcapping = meta.number_or("final_logit_softcapping", 0.0);
  if (meta.integer_or("expert_count", 0, 0, kMaxExperts) > 0) {
    read_experts(meta, "expert_feed_forward_length", c);
    set_experts(c);
  }
  c.layer_input_size = meta.integer_or("embedding_length_per_layer_input", 0, 0, kMaxWidth);
  if (c.layer_input_size == 0) return c;
  const auto* table = meta.file().find("per_layer_token_embd.weight");
  if (table == nullptr) meta.refuse(ErrorCode::not_found, "tensor per_layer_token_embd.weight is missing");
  c.layer_input_vocab_size = table == nullptr ? 0 : table->rows();
  return c;
}

}  // namespace gemma4

const Family kGemma4 = {.name = "gemma4_text",
                        .gguf_architecture = "gemma4",
                        .hf_architecture = "Gemma4ForCausalLM",
                        .from_hf = gemma4::from_hf,
                        .from_gguf = gemma4::from_gguf,
                        .hf_names = gemma4::kNames,
                        .gguf_names = gemma4::kGgufNames,
                        .hf_expert_rows = true,
                        .gguf_joined_experts = true};

}  // namespace moe::inline MOE_ABI::arch

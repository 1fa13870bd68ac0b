#include "moe/outline.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <map>

#include "arch/family.hpp"
#include "arch/limits.hpp"
#include "arch/quantization_config.hpp"
#include "arch/unread_keys.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/text_files.hpp"
#include "model/model_info.hpp"
#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "support/json.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 40;
constexpr std::string_view kOthers = " (nor does it ";  // as judge_unread_json() writes it

/// The first of these keys that holds a number from 0 on, else 0.
using Integer = std::function<std::int64_t(std::initializer_list<std::string_view> keys)>;

/// Grouped-query or latent attention and FFNs, by the names that most families use.
ModelConfig common_shapes(const Integer& integer) {
  ModelConfig c;
  c.layer_count = integer({"num_hidden_layers", "n_layer", "num_layers", "block_count"});
  c.hidden_size = integer({"hidden_size", "n_embd", "d_model", "embedding_length"});
  c.vocab_size = integer({"vocab_size"});
  c.max_position = integer({"max_position_embeddings", "n_positions", "context_length"});
  c.head_count = integer({"num_attention_heads", "n_head", "attention.head_count"});
  c.kv_head_count = integer({"num_key_value_heads", "attention.head_count_kv"});
  if (c.kv_head_count == 0) c.kv_head_count = c.head_count;
  c.head_dim = integer({"head_dim", "attention.key_length"});
  if (c.head_dim == 0 && c.head_count > 0) c.head_dim = c.hidden_size / c.head_count;
  c.v_head_dim = c.head_dim;
  c.intermediate_size = integer({"intermediate_size", "ffn_hidden_size", "feed_forward_length"});
  c.kv_lora_rank = integer({"kv_lora_rank"});
  if (c.kv_lora_rank > 0) {
    c.attention = AttentionKind::mla;
    c.q_lora_rank = integer({"q_lora_rank"});
    c.qk_nope_head_dim = integer({"qk_nope_head_dim"});
    c.qk_rope_head_dim = integer({"qk_rope_head_dim"});
    c.v_head_dim = integer({"v_head_dim"});
    c.head_dim = c.qk_nope_head_dim + c.qk_rope_head_dim;
  }
  RouterConfig& r = c.router;
  r.expert_count = integer({"n_routed_experts", "num_experts", "num_local_experts", "moe_num_experts", "expert_count"});
  r.top_k = integer({"num_experts_per_tok", "num_experts_per_token", "top_k_experts", "moe_topk", "moe_k",
                     "experts_per_token", "expert_used_count"});
  if (r.expert_count <= 0 || r.top_k <= 0) r.expert_count = r.top_k = 0;
  if (r.expert_count == 0) return c;
  c.moe_intermediate_size = integer({"moe_intermediate_size", "expert_feed_forward_length"});
  if (c.moe_intermediate_size == 0) c.moe_intermediate_size = c.intermediate_size;
  c.first_k_dense_replace =
      std::min(integer({"first_k_dense_replace", "num_dense_layers", "leading_dense_block_count"}), c.layer_count);
  c.shared_expert_count = integer({"n_shared_experts", "num_shared_experts", "expert_shared_count"});
  c.shared_expert_intermediate_size =
      integer({"shared_expert_intermediate_size", "shared_intermediate_size", "moe_shared_expert_intermediate_size",
               "expert_shared_feed_forward_length"});
  if (c.shared_expert_intermediate_size > 0 && c.shared_expert_count == 0) c.shared_expert_count = 1;
  return c;
}

void add_shapes(ModelConfig c, ModelOutline& out) {
  out.layer_count = c.layer_count;
  out.hidden_size = c.hidden_size;
  out.vocab_size = c.vocab_size;
  out.max_position = c.max_position;
  out.expert_count = c.router.expert_count;
  out.top_k = c.router.top_k;
  // Values that do not affect sizes, so that validate() checks the rest.
  if (c.max_position == 0) c.max_position = 1;
  c.softmax_scale = 1.0;
  if (!validate(c)) return;
  const ParameterCount n = count_parameters(c);
  out.parameters = n.total;
  out.active_parameters = n.active_with_embedding;
  out.flops_per_token = weight_flops_per_token(c);
}

/// For an unknown family: adds the kinds of layers in the list `key` (an entry per layer) that libmoe does not compute.
void add_kinds(JsonValue model, const char* key, const char* what, std::initializer_list<const char*> computed,
               ModelOutline& out) {
  const auto types = model.find(key);
  if (!types || !types->is_array()) return;
  std::map<std::string, int> kinds;
  for (const JsonValue type : *types)
    if (type.is_string()) kinds[type.get<std::string>()] += 1;
  for (const char* kind : computed) kinds.erase(kind);
  for (const auto& [kind, count] : kinds)
    out.missing.push_back(
        fmt::format("{} of the kind {} ({} of {})", what, in_quotes(shortened(kind, 60)), count, types->size()));
}

/// For rules that look at each layer.
ModelConfig with_few_layers(ModelConfig shapes) {
  shapes.layer_count = std::min(shapes.layer_count, arch::kMaxLayers);
  return shapes;
}

/// For a known family: adds what libmoe lacks, taken from the error message of Model::inspect().
void add_subject(const std::string& path, std::string message, ModelOutline& out) {
  for (const std::string_view before :
       {std::string_view(path), std::string_view(": "), std::string_view("config.json: ")})
    if (message.starts_with(before)) message.erase(0, before.size());
  const auto end = message.find(", expected "), reason = message.find(", which libmoe does not support");
  const auto others = message.find(kOthers);
  out.missing.push_back(message.substr(0, std::min(end, reason)));
  if (others != std::string::npos && message.ends_with(')'))
    out.missing.push_back(message.substr(others + kOthers.size(), message.size() - others - kOthers.size() - 1));
}

Result<void> add_json(std::string_view text, ModelOutline& out) {
  const auto json = arch::JsonConfig::parse(text);
  if (!json) return forward(json);
  const std::string architecture = json->architecture(), type = json->string_or("model_type", "");
  out.family = architecture.empty() || type.empty() ? architecture + type : fmt::format("{} ({})", architecture, type);
  const auto inner = json->value().find("text_config");
  const bool wrapped = inner && inner->is_object();
  const JsonValue model = wrapped ? *inner : json->value();
  if (wrapped) {
    const auto name = model.find("model_type");
    if (name && name->is_string()) out.family += " of " + shortened(name->get<std::string>(), 60);
  }
  const ModelConfig shapes = common_shapes([&](std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys)
      if (const auto found = model.find(key); found && found->is_number_integer())
        if (const auto n = found->get<std::int64_t>(); n >= 0 && n <= kMost) return n;
    return std::int64_t{0};
  });
  if (!arch::names_family(*json)) {
    add_kinds(model, "layer_types", "layers", {"full_attention", "sliding_attention", "attention"}, out);
    add_kinds(model, "mlp_layer_types", "FFNs", {"dense", "sparse", "moe"}, out);
    for (std::string& key : arch::uncomputed_keys_json(model, with_few_layers(shapes)))
      out.missing.push_back(std::move(key));
    if (out.missing.empty()) out.missing.push_back("the family");
  }
  ModelConfig tied = shapes;
  if (const auto found = model.find("tie_word_embeddings"); found && found->is_boolean())
    tied.tie_word_embeddings = found->get<bool>();
  add_shapes(tied, out);
  return {};
}

void add_gguf(const checkpoint::Checkpoint& file, ModelOutline& out) {
  const checkpoint::MetaValue* value = file.meta("general.architecture");
  const auto* name = value == nullptr ? nullptr : std::get_if<std::string>(value);
  out.family = name == nullptr ? "unknown" : *name;
  arch::GgufConfig meta(file, out.family);
  ModelConfig shapes = common_shapes([&](std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys)
      if (meta.has(key))
        if (const std::int64_t n = arch::GgufConfig(meta).integer_or(key, 0, 0, kMost); n > 0) return n;
    return std::int64_t{0};
  });
  if (const auto* embedding = file.find("token_embd.weight")) shapes.vocab_size = embedding->rows();
  shapes.tie_word_embeddings = file.find("output.weight") == nullptr;
  if (!arch::names_gguf_family(out.family)) {
    out.missing = arch::uncomputed_keys_gguf(arch::GgufConfig(file, out.family).unread(), with_few_layers(shapes));
    if (out.missing.empty()) out.missing.push_back("the family");
  }
  add_shapes(shapes, out);
}

/// Codes that lie in words count one by one, and their scales not at all.
std::int64_t count_weights(const checkpoint::Checkpoint& file) {
  arch::Quantization q;
  if (file.kind() == checkpoint::Kind::hf)
    if (const auto json = arch::JsonConfig::parse(file.config_json())) q = arch::read_quantization(*json);
  const bool has_codes = q.method != arch::Quantization::Method::none && q.bits > 0;
  std::int64_t weights = 0;
  const auto add = [&](const checkpoint::TensorInfo& tensor, const std::string& name, bool in_words) {
    const std::int64_t numbers = tensor.rows() * tensor.cols();
    if (!has_codes || !arch::belongs_to_weight(name)) weights += in_words ? numbers * 32 / q.bits : numbers;
  };
  for (const checkpoint::TensorInfo& tensor : file.tensors()) add(tensor, tensor.name, false);
  for (const checkpoint::UnsupportedTensor& tensor : file.unsupported())
    if (tensor.where.bytes > 0)
      add(tensor.where, tensor.name, has_codes && tensor.type == "I32" && arch::holds_codes(tensor.name));
  return weights;
}

Result<ModelOutline> outline_of(const std::string& path) {
  ModelOutline out;
  if (is_config_only(path)) {
    const auto text = read_text((std::filesystem::path(path) / "config.json").string(), checkpoint::kConfigLimit);
    if (!text) return forward(text);
    if (auto ok = add_json(*text, out); !ok) return forward(ok);
    return out;
  }
  const auto file = checkpoint::open(path);
  if (!file) return forward(file);
  out.tensor_parameters = count_weights(**file);
  if ((*file)->kind() == checkpoint::Kind::gguf)
    add_gguf(**file, out);
  else if (auto ok = add_json((*file)->config_json(), out); !ok)
    return forward(ok);
  return out;
}

}  // namespace

Result<ModelOutline> outline(const std::string& path) {
  auto out = outline_of(path);
  if (!out || !out->missing.empty()) return out;
  const auto info = Model::inspect(path);
  if (!info && info.error().code == ErrorCode::unsupported) add_subject(path, info.error().message, *out);
  return out;
}

}  // namespace moe::inline MOE_ABI

#include "c/model_info.hpp"

#include "moe/flops.hpp"
#include "support/json_writer.hpp"

namespace moe::inline MOE_ABI::c {
namespace {

void add_experts(JsonWriter& out, const ModelConfig& c) {
  if (c.router.expert_count == 0) return;
  out.open("experts", '{')
      .add("routed", c.router.expert_count)
      .add("per_token", c.router.top_k)
      .add("shared", c.shared_expert_count)
      .add("group_count", c.router.group_count)
      .add("topk_group", c.router.topk_group)
      .add("width", c.moe_intermediate_size)
      .close('}');
}

void add_parameters(JsonWriter& out, const ModelInfo& info) {
  const ParameterCount count = count_parameters(info.config);
  out.open("parameters", '{')
      .add("total", info.total_parameters)
      .add("mtp", info.mtp_parameters)
      .add("matrices", count.matrices)
      .add("active_with_embedding", count.active_with_embedding)
      .add("active_matmul", count.active_matmul)
      .add("active_without_head", count.active_without_head)
      .close('}');
}

void add_weights(JsonWriter& out, const ModelInfo& info) {
  if (info.formats.empty()) return;
  out.add("weight_bytes", info.weight_bytes).add("weight_bytes_touched_per_token", info.touched_bytes);
  out.open("formats", '[');
  for (const FormatUse& use : info.formats)
    out.begin('{').add("format", use.name).add("tensors", use.tensor_count).add("bytes", use.bytes).close('}');
  out.close(']');
}

void add_tokenizer(JsonWriter& out, const Model& model) {
  const Tokenizer* tokenizer = model.tokenizer().get();
  out.open("tokenizer", '{').add("usable", tokenizer != nullptr);
  if (tokenizer == nullptr) {
    out.add("why", model.tokenizer_error());
  } else {
    out.add("vocab_size", tokenizer->vocab_size()).add("adds_bos", tokenizer->adds_bos());
    if (tokenizer->bos()) out.add("bos", *tokenizer->bos());
    if (tokenizer->eos()) out.add("eos", *tokenizer->eos());
    out.add("stop_ids", tokenizer->stop_ids());
  }
  out.close('}');
}

}  // namespace

std::string info_json(const ModelInfo& info, const Model* model) {
  const ModelConfig& c = info.config;
  JsonWriter out;
  out.begin('{')
      .add("family", c.family)
      .add("config_only", info.formats.empty())
      .add("layer_count", c.layer_count)
      .add("hidden_size", c.hidden_size)
      .add("vocab_size", c.vocab_size)
      .add("max_position", c.max_position)
      .add("tie_word_embeddings", c.tie_word_embeddings)
      .add("attention", name_of(c.attention))
      .add("head_count", c.head_count);
  add_experts(out, c);
  out.add("notes", info.notes).add("unread_keys", info.unread_keys);
  add_parameters(out, info);
  out.open("flops_per_token", '{')
      .add("weights", weight_flops_per_token(c))
      .add("weights_without_head", weight_flops_per_token(c, HeadFlops::exclude))
      .close('}');
  out.open("cache_bytes_per_token", '{');
  for (const KvType type : kKvTypes) out.add(name_of(type), cache_bytes_per_token(c, type));
  out.close('}');
  add_weights(out, info);
  out.open("chat_templates", '[');
  for (const auto& named : info.chat_templates.texts) out.value(named.first);
  out.close(']');
  if (model != nullptr) add_tokenizer(out, *model);
  out.open("metadata", '{');
  for (const auto& [key, value] : info.metadata) {
    const std::string& name = key;
    std::visit([&](const auto& v) { out.add(name, v); }, value);
  }
  return out.close('}').close('}').take();
}

}  // namespace moe::inline MOE_ABI::c

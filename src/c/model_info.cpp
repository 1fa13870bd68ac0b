#include "c/model_info.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <type_traits>

#include "moe/flops.hpp"
#include "support/json_text.hpp"

namespace moe::inline MOE_ABI::c {
namespace {

// One value at a time: a tree of nlohmann's ends the process when an allocation fails while it is destroyed (3.11.2).
class Writer {
 public:
  Writer& open(std::string_view key, char bracket) {
    name(key);
    return begin(bracket);
  }
  Writer& begin(char bracket) {
    separate();
    text_ += bracket;
    is_first_ = true;
    return *this;
  }
  Writer& close(char bracket) {
    text_ += bracket;
    is_first_ = false;
    return *this;
  }
  template <class T>
  Writer& add(std::string_view key, const T& v) {
    name(key);
    return value(v);
  }
  template <class T>
  Writer& value(const T& v) {
    separate();
    if constexpr (std::is_convertible_v<T, std::string_view>)
      text_ += json_text(nlohmann::json(std::string_view(v)));
    else
      text_ += json_text(nlohmann::json(v));
    return *this;
  }
  template <class T>
  Writer& value(const std::vector<T>& list) {
    begin('[');
    for (const auto& item : list) value<T>(item);
    return close(']');
  }
  std::string take() { return std::move(text_); }

 private:
  void name(std::string_view key) {
    value(key);
    text_ += ':';
    is_first_ = true;
  }
  void separate() {
    if (!is_first_) text_ += ',';
    is_first_ = false;
  }
  std::string text_;
  bool is_first_ = true;
};

void add_experts(Writer& out, const ModelConfig& c) {
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

void add_parameters(Writer& out, const ModelInfo& info) {
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

void add_weights(Writer& out, const ModelInfo& info) {
  if (info.formats.empty()) return;
  out.add("weight_bytes", info.weight_bytes).add("weight_bytes_touched_per_token", info.touched_bytes);
  out.open("formats", '[');
  for (const FormatUse& use : info.formats)
    out.begin('{').add("format", use.name).add("tensors", use.tensor_count).add("bytes", use.bytes).close('}');
  out.close(']');
}

void add_tokenizer(Writer& out, const Model& model) {
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
  Writer out;
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
  const std::int64_t values = cache_values_per_token(c);
  out.open("cache_bytes_per_token", '{')
      .add("f32", 4 * values)
      .add("f16", 2 * values)
      .add("bf16", 2 * values)
      .close('}');
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

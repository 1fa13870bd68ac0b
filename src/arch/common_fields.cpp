#include "arch/common_fields.hpp"

#include <fmt/format.h>

#include "arch/family.hpp"
#include "arch/limits.hpp"

namespace moe::inline MOE_ABI::arch {

namespace {

/// The activation must be the one that the family computes with.
void check_activation(const JsonConfig& json, Activation activation) {
  const bool gelu = activation == Activation::gelu_tanh;
  const char* key = gelu ? "hidden_activation" : "hidden_act";
  const char* expected = gelu ? "gelu_pytorch_tanh" : "silu";
  if (!json.knows(key) && !json.in_file(key)) return;  // classes with only one (LFM2)
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
  // A class without dense layers has no such key (Qwen3.5 MoE).
  if (json.knows("intermediate_size") || json.in_file("intermediate_size"))
    c.intermediate_size = json.integer("intermediate_size", 0, kMaxWidth);
  c.max_position = json.integer("max_position_embeddings", 1, kMaxPosition);
  c.rms_norm_eps = json.number(json.knows("norm_eps") ? "norm_eps" : "rms_norm_eps");
  c.tie_word_embeddings = json.boolean("tie_word_embeddings");
  c.activation = activation;
  check_activation(json, activation);
  return c;
}

ModelConfig read_common(GgufConfig& meta, std::string_view family, FfnWidths widths) {
  ModelConfig c;
  c.family = family;
  c.layer_count = meta.integer("block_count", 1, kMaxLayers);
  c.hidden_size = meta.integer("embedding_length", 1, kMaxWidth);
  c.head_count = meta.integer("attention.head_count", 1, kMaxWidth);
  if (widths == FfnWidths::uniform) c.intermediate_size = meta.integer_or("feed_forward_length", 0, 0, kMaxWidth);
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

}  // namespace moe::inline MOE_ABI::arch

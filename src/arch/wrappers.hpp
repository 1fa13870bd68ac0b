#pragma once
// Multimodal checkpoints (Gemma 3, Mistral 3, Kimi-K2.5): config.json has the text model's configuration under
// text_config, its tensors have a prefix, and other towers are ignored. The list is in wrappers.cpp.

#include <span>
#include <string>
#include <string_view>

#include "arch/json_config.hpp"
#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::arch {

/// Prefixes in place of "model." in the text model's tensor names, and before other names ("lm_head.weight").
struct TextPrefix {
  std::string_view model = "model.", rest = "";

  /// The name in the file for `name` of a plain text model, and back; other tensors keep their names.
  std::string in_file(std::string_view name) const;
  std::string without(std::string_view name) const;
};

/// A text model that a wrapper may hold.
struct WrappedText {
  std::string_view model_type;  ///< of text_config
  std::string_view family;
};

struct Wrapper {
  std::string_view hf_architecture, model_type;
  std::span<const WrappedText> texts = {};        ///< the first one if text_config does not say
  std::span<const std::string_view> towers = {};  ///< prefixes of the other models' tensor names, also after "model."
  std::span<const std::string_view> keys = {};    ///< of config.json, about the other models
  bool ties = false;                              ///< its class's tie_word_embeddings, where config.json has none

  /// Whether the tensor belongs to another model.
  bool is_tower(std::string_view tensor) const;
  /// The prefix of the text model in this file; the usual one if there is none.
  TextPrefix prefix_of(const checkpoint::Checkpoint& file) const;
};

/// By architectures[0], or without it by model_type; null when it is not a wrapper.
const Wrapper* wrapper_of(std::string_view architecture, std::string_view model_type);
std::span<const Wrapper> wrappers();
/// The configuration of the text model: text_config of a wrapper, else all of it.
JsonConfig text_config(const JsonConfig& json);

}  // namespace moe::inline MOE_ABI::arch

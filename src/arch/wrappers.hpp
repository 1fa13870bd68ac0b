#pragma once
// Checkpoints of several models, of which one writes text (Gemma 3, Mistral 3, Kimi-K2.5): config.json holds the text
// model's under text_config, tensors of it have a prefix, and the other towers are left alone. The list is in wrappers.cpp.

#include <span>
#include <string>
#include <string_view>

#include "arch/json_config.hpp"
#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::arch {

/// What stands in place of "model." in the names of a text model's tensors, and in front of the others' ("lm_head.weight").
struct TextPrefix {
  std::string_view model = "model.", rest = "";

  /// The name in the file of what a file of the text model alone calls `name`, and back; other tensors keep their names.
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
  std::span<const WrappedText> texts = {};        ///< the first one where text_config does not say
  std::span<const std::string_view> towers = {};  ///< how names of the other models' tensors begin, behind "model." too
  std::span<const std::string_view> keys = {};    ///< of config.json, about the other models

  /// Whether the tensor belongs to another model.
  bool is_tower(std::string_view tensor) const;
  /// The prefix by which this file holds the text model; the usual one where it holds none.
  TextPrefix prefix_of(const checkpoint::Checkpoint& file) const;
};

/// By architectures[0], or by model_type where there is none; null when it is no wrapper.
const Wrapper* wrapper_of(std::string_view architecture, std::string_view model_type);
std::span<const Wrapper> wrappers();
/// The configuration of the text model: text_config of a wrapper, else all of it.
JsonConfig text_config(const JsonConfig& json);

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// What is known of keys that a family does not read. A new family that computes with one of them asks for it; the rule then
// holds for the others.

#include <span>
#include <string>
#include <string_view>

#include "moe/config.hpp"
#include "support/json_writer.hpp"

namespace moe::inline MOE_ABI::arch {

/// Of a value that is neither neutral nor what libmoe computes.
enum class Otherwise {
  refuse,         ///< it would change the arithmetic
  refuse_if_moe,  ///< it would in a model with experts; a dense one has no use for it
  show,           ///< the reference implementation does not use it either
};

struct UnreadRule {
  std::string_view key;      ///< "mamba_*" stands for all that begin so, "*softcap*" for all that hold it
  std::string_view neutral;  ///< JSON values that change nothing, as "[..]"; null is one always
  /// The values that say what this model computes anyway, as "[..]"; null: none do.
  std::string (*computed)(const ModelConfig& config) = nullptr;
  Otherwise otherwise = Otherwise::refuse;
};

/// The list of one value, for `computed`.
template <class T>
std::string one(const T& value) {
  return JsonWriter().begin('[').value(value).close(']').take();
}

std::span<const UnreadRule> json_rules();
/// Of keys inside of rope_scaling or rope_parameters.
std::span<const UnreadRule> json_rope_rules();
/// Without the architecture.
std::span<const UnreadRule> gguf_rules();

/// Keys that never matter to a forward pass: training, names, generation, other programs. "mm.*" as above.
std::span<const std::string_view> json_never_matters();
std::span<const std::string_view> gguf_never_matters();
/// With their first part, "general." and so on.
std::span<const std::string_view> gguf_outside_never_matters();

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Rules for keys that a family does not read. A new family that uses such a key reads it; the rule then applies to the
// others.

#include <span>
#include <string>
#include <string_view>

#include "moe/config.hpp"
#include "support/json_writer.hpp"

namespace moe::inline MOE_ABI::arch {

/// What to do with a value that is neither neutral nor computed by libmoe.
enum class Otherwise {
  refuse,         ///< it would change the arithmetic
  refuse_if_moe,  ///< the same for MoE models; dense ones do not use it
  show,           ///< the reference implementation does not use it either
};

struct UnreadRule {
  std::string_view key;      ///< "mamba_*" matches a prefix, "*softcap*" a part
  std::string_view neutral;  ///< JSON values without effect, as "[..]"; null always is one
  /// Values that this model already computes, as "[..]"; null: none.
  std::string (*computed)(const ModelConfig& config) = nullptr;
  Otherwise otherwise = Otherwise::refuse;
  /// Values that some family computes, as "[..]"; others are named for families that libmoe does not know. Empty with
  /// `computed` or a milder `otherwise`: all of them.
  std::string_view some_family = {};
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

/// Keys that never affect a forward pass: training, names, generation, other programs. "mm.*" as above.
std::span<const std::string_view> json_never_matters();
std::span<const std::string_view> gguf_never_matters();
/// With their first part, "general." and so on.
std::span<const std::string_view> gguf_outside_never_matters();

}  // namespace moe::inline MOE_ABI::arch

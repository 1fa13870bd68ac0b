// RoPE settings (moe/rope_config.hpp) from the metadata of a GGUF file.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <span>

#include "arch/family.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

// Llama 3.1's rule is stored as a divisor per rotated pair.
std::vector<double> read_factors(GgufConfig& meta, const checkpoint::TensorInfo& tensor, const ModelConfig& c) {
  const std::int64_t pairs = c.full_rotated_dim() / 2;
  std::vector<float> values(static_cast<std::size_t>(pairs));
  if (tensor.shape != std::vector<std::int64_t>{pairs} || tensor.format != Format::f32)
    meta.refuse(ErrorCode::bad_shape, fmt::format("tensor {} has shape [{}] of {}, expected [{}] of f32", tensor.name,
                                                  fmt::join(tensor.shape, ", "), name_of(tensor.format), pairs));
  else if (auto ok = meta.file().read(tensor, 0, std::as_writable_bytes(std::span(values))); !ok)
    meta.refuse(ok.error().code, ok.error().message);
  return {values.begin(), values.end()};
}

void read_rope_factors(GgufConfig& meta, const checkpoint::TensorInfo& tensor, ModelConfig& c) {
  c.rope.scaling = RopeScaling::factors;
  c.rope.factor = 1.0;
  c.rope.frequency_factors = read_factors(meta, tensor, c);
}

// Phi-3's two sets of divisors; there is no key for the rule.
void read_longrope(GgufConfig& meta, const checkpoint::TensorInfo* within, const checkpoint::TensorInfo* beyond,
                   ModelConfig& c) {
  if (within == nullptr || beyond == nullptr)
    return meta.refuse(ErrorCode::not_found,
                       fmt::format("tensor {} is missing beside {}",
                                   within == nullptr ? "rope_factors_short.weight" : "rope_factors_long.weight",
                                   (within == nullptr ? beyond : within)->name));
  c.rope.scaling = RopeScaling::longrope;
  c.rope.frequency_factors = read_factors(meta, *within, c);
  c.rope.long_factors = read_factors(meta, *beyond, c);
  c.rope.original_max_position =
      meta.integer_or("rope.scaling.original_context_length", c.max_position, 1, kMaxPosition);
  c.rope.attention_factor = meta.number_or("rope.scaling.attn_factor", 1.0);
}

/// 1 for the pairs that RoPE rotates, and then divisors so large that the angles of the others vanish.
std::int64_t count_rotated(GgufConfig& meta, const checkpoint::TensorInfo& tensor, const ModelConfig& c) {
  constexpr double kInfinite = 1e20;
  const std::vector<double> factors = read_factors(meta, tensor, c);
  std::int64_t rotated = 0;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] == 1.0 && rotated == static_cast<std::int64_t>(i))
      ++rotated;
    else if (!(factors[i] >= kInfinite)) {
      meta.refuse(ErrorCode::unsupported,
                  fmt::format("tensor {} holds {} at {}, expected ones and then numbers from 1e20 on", tensor.name,
                              factors[i], i));
      break;
    }
  }
  return rotated;
}

}  // namespace

void read_proportional_rope(GgufConfig& meta, ModelConfig& c) {
  const bool slides = !c.sliding_layers.empty();
  const bool sees_all = static_cast<std::int64_t>(c.sliding_layers.size()) < c.layer_count;
  RopeConfig full, sliding;
  full.theta = meta.number_or("rope.freq_base", 1e6);
  sliding.theta = meta.number_or("rope.freq_base_swa", 1e4);
  const auto whole_head = [&](std::string_view key, bool used, std::int64_t expected) {
    const std::int64_t found = meta.integer_or(key, expected, 1, kMaxWidth);
    if (used && found != expected)
      meta.refuse(ErrorCode::unsupported, fmt::format("{} is {}, expected {} (the whole head)", key, found, expected));
  };
  whole_head("rope.dimension_count", sees_all, c.full_rotated_dim());
  whole_head("rope.dimension_count_swa", slides, c.rotated_dim());
  if (const std::string type = meta.string_or("rope.scaling.type", "none"); type != "none")
    meta.refuse(ErrorCode::unsupported,
                fmt::format("rope.scaling.type is '{}', expected none in this family", type.substr(0, 60)));
  const checkpoint::TensorInfo* factors = meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::rope_factors));
  if (sees_all && factors != nullptr) {
    full.scaling = RopeScaling::proportional;
    full.rotated_pairs = count_rotated(meta, *factors, c);
  }
  c.rope = sees_all ? full : sliding;
  if (sees_all && slides) c.sliding_rope = sliding;
}

void read_partial_rotary(GgufConfig& meta, ModelConfig& c) {
  c.rotary_dim = meta.integer_or("rope.dimension_count", c.head_dim, 2, c.head_dim);
  if (c.rotary_dim % 2 != 0)
    meta.refuse(ErrorCode::bad_config,
                fmt::format("rope.dimension_count is {}, expected an even number", c.rotary_dim));
}

void read_rope(GgufConfig& meta, RopeStyle style, ModelConfig& c) {
  c.rope.style = style;
  c.rope.theta = meta.number_or("rope.freq_base", 10000.0);
  // A part of a head is rotated if the family says so (read_partial_rotary), else all of it.
  if (const std::int64_t rotated = meta.integer_or("rope.dimension_count", c.rotated_dim(), 1, kMaxWidth);
      rotated != c.rotated_dim())
    meta.refuse(ErrorCode::unsupported,
                fmt::format("rope.dimension_count is {}, expected {} (the whole head)", rotated, c.rotated_dim()));
  // Files from before rope.scaling.type have only a factor, which means linear scaling.
  const double linear = meta.number_or("rope.scaling.factor", meta.number_or("rope.scale_linear", 1.0));
  const std::string type = meta.string_or("rope.scaling.type", linear > 0.0 && linear != 1.0 ? "linear" : "none");
  const checkpoint::TensorInfo* factors = meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::rope_factors));
  const auto* within = meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::rope_factors_short));
  const auto* beyond = meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::rope_factors_long));
  if (factors == nullptr && (within != nullptr || beyond != nullptr)) return read_longrope(meta, within, beyond, c);
  if (factors != nullptr && type != "none")
    return meta.refuse(ErrorCode::unsupported,
                       fmt::format("tensor {} stands beside rope.scaling.type '{}', expected one of the two",
                                   factors->name, type.substr(0, 60)));
  if (factors != nullptr) return read_rope_factors(meta, *factors, c);
  if (type == "none") return;
  c.rope.factor = type == "linear" ? linear : meta.number("rope.scaling.factor");
  c.rope.original_max_position =
      meta.integer_or("rope.scaling.original_context_length", c.max_position, 1, kMaxPosition);
  if (type == "linear") {
    c.rope.scaling = RopeScaling::linear;
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::yarn;
    c.rope.beta_fast = meta.number_or("rope.scaling.yarn_beta_fast", 32.0);
    c.rope.beta_slow = meta.number_or("rope.scaling.yarn_beta_slow", 1.0);
    // The converter stores 0.1 * mscale_all_dim and drops mscale; published models have mscale == mscale_all_dim. The
    // float32 in the file is rounded back to the short decimal that it came from.
    const double multiplier = meta.number_or("rope.scaling.yarn_log_multiplier", 0.0);
    const double all_dim = std::round(multiplier * 10.0 * 1e5) / 1e5;
    const double factor =
        meta.number_or("rope.scaling.yarn_attn_factor", meta.number_or("rope.scaling.attn_factor", 0.0));
    // transformers: an explicit factor wins.
    c.rope.attention_factor = factor > 0.0 ? factor : yarn_attention_factor(c.rope.factor, all_dim, all_dim);
    if (c.attention == AttentionKind::mla) grow_softmax_scale(c.rope.factor, all_dim, c);
  } else {
    meta.refuse(ErrorCode::unsupported,
                fmt::format("rope.scaling.type '{}' is not known (known: none, linear, yarn)", type.substr(0, 60)));
  }
}

}  // namespace moe::inline MOE_ABI::arch

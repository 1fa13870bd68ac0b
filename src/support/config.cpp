// Checks hyperparameters: after validate(), no product of two of them can overflow and no divisor is zero.

#include <fmt/format.h>

#include <algorithm>

#include "moe/model.hpp"
#include "moe/router.hpp"
#include "support/config_ranges.hpp"

namespace moe::inline MOE_ABI {
namespace {

using config_checks::check_positive;
using config_checks::check_ranges;
using config_checks::check_rope;
using config_checks::kMaxPosition;
using config_checks::refuse;

// Each limit is at least about ten times the published maximum (in the comment), and keeps products inside 64 bits.
constexpr std::int64_t kMaxLayers = 1024;           // Llama-3.1-405B: 126
constexpr std::int64_t kMaxWidth = 1 << 18;         // hidden and LoRA widths; Llama-3.1-405B: 16384
constexpr std::int64_t kMaxFfnWidth = 1 << 20;      // 53248
constexpr std::int64_t kMaxVocabulary = 1 << 23;    // 262144
constexpr std::int64_t kMaxHeads = 4096;            // 128
constexpr std::int64_t kMaxHeadDim = 1024;          // 256
constexpr std::int64_t kMaxSharedExperts = 256;     // 2
constexpr std::int64_t kMaxMtpLayers = 64;          // 1
constexpr std::int64_t kMaxParameters = 1LL << 44;  // 1.03e12 (Kimi-K2); 17.6e12 here

Result<void> check_layers(std::string_view name, const std::vector<std::int64_t>& layers, std::int64_t layer_count) {
  std::int64_t before = -1;
  for (const std::int64_t layer : layers) {
    if (layer <= before || layer >= layer_count)
      return refuse(fmt::format("{} holds {}, expected rising layers up to {}", name, layer, layer_count - 1));
    before = layer;
  }
  return {};
}

/// Windows, sinks and other features of only some attention kernels.
Result<void> check_windows(const ModelConfig& c) {
  if (c.attention == AttentionKind::mla && (!c.sliding_layers.empty() || c.attention_sinks || c.o_bias))
    return refuse("sliding_layers, attention_sinks or o_bias is set, expected none with latent attention");
  if (c.sliding_layers.empty())
    return c.sliding_rope ? refuse("sliding_rope is set, expected sliding_layers with it") : Result<void>{};
  if (auto ok = check_ranges({{"sliding_window", c.sliding_window, 1, kMaxPosition}}); !ok) return ok;
  if (auto ok = check_layers("sliding_layers", c.sliding_layers, c.layer_count); !ok) return ok;
  return c.sliding_rope ? check_rope(*c.sliding_rope, c.rotated_dim()) : Result<void>{};
}

/// Heads of full layers, keys that layers share, and the further inputs of layers.
Result<void> check_layer_shapes(const ModelConfig& c) {
  const bool own_heads = c.full_head_dim != 0 || c.full_kv_head_count != 0;
  if (own_heads && (c.sliding_layers.empty() || c.attention != AttentionKind::gqa))
    return refuse("full_head_dim or full_kv_head_count is set, expected neither without sliding layers");
  if (own_heads && (c.rotary_dim != 0 || c.qk_norm == QkNorm::projection || c.attention_sinks))
    return refuse("full_head_dim or full_kv_head_count is set beside rotary_dim, a qk_norm of all heads or sinks");
  if (c.full_head_dim != 0 && !c.sliding_rope) return refuse("full_head_dim is set, expected sliding_rope with it");
  if (auto ok = check_ranges({{"full_head_dim", c.full_head_dim, 0, kMaxHeadDim},
                              {"full_kv_head_count", c.full_kv_head_count, 0, c.head_count},
                              {"kv_shared_layer_count", c.kv_shared_layer_count, 0, c.layer_count - 1},
                              {"kv_shared_intermediate_size", c.kv_shared_intermediate_size, 0, kMaxFfnWidth},
                              {"layer_input_size", c.layer_input_size, 0, kMaxWidth / c.layer_count}});
      !ok)
    return ok;
  if (c.full_head_dim % 2 != 0)
    return refuse(fmt::format("full_head_dim is {}, expected an even number (RoPE pairs)", c.full_head_dim));
  if (c.full_kv_head_count > 0 && c.head_count % c.full_kv_head_count != 0)
    return refuse(fmt::format("full_kv_head_count is {}, expected a divisor of head_count {}", c.full_kv_head_count,
                              c.head_count));
  const bool plain = !c.full_key_is_value && !c.value_norm && c.kv_shared_layer_count == 0;
  if (!plain && (c.attention != AttentionKind::gqa || c.qkv_bias || !c.mixers.empty()))
    return refuse(
        "full_key_is_value, value_norm or kv_shared_layer_count is set, expected none with latent attention, qkv_bias "
        "or other mixers");
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer)
    if (c.key_layer(layer) < 0)
      return refuse(
          fmt::format("kv_shared_layer_count is {}, expected less: layer {} has no layer of its kind to share with",
                      c.kv_shared_layer_count, layer));
  if (c.layer_input_size > 0 && (c.layer_input_vocab_size < c.vocab_size || c.layer_input_vocab_size > kMaxVocabulary))
    return refuse(fmt::format("layer_input_vocab_size is {}, expected {}..{}", c.layer_input_vocab_size, c.vocab_size,
                              kMaxVocabulary));
  if (c.dense_beside_experts && (!c.post_norms || !c.pre_norms || c.shared_expert_count != 0 || c.router_bias))
    return refuse(
        "dense_beside_experts is set, expected norms around the branches, no shared experts and no router bias");
  return {};
}

/// Attention to chosen keys.
Result<void> check_indexer(const ModelConfig& c) {
  const IndexerConfig& x = c.indexer;
  if (x.head_count == 0 && x.head_dim == 0 && x.top_k == 0 && x.shared_layers.empty()) return {};
  if (c.attention != AttentionKind::mla || c.q_lora_rank == 0 || !c.mixers.empty())
    return refuse("indexer is set, expected none without latent attention in all layers and a q_lora_rank");
  if (auto ok = check_ranges({{"indexer.head_count", x.head_count, 1, kMaxHeads},
                              {"indexer.head_dim", x.head_dim, c.qk_rope_head_dim, kMaxHeadDim},
                              {"indexer.top_k", x.top_k, 1, kMaxPosition}});
      !ok)
    return ok;
  if (x.rope_style != RopeStyle::half_split && x.rope_style != RopeStyle::interleaved)
    return refuse("indexer.rope_style is none of the known ones");
  if (c.rope.scaling == RopeScaling::longrope)
    return refuse("rope.scaling is longrope, expected another in a model with an indexer");
  if (auto ok = check_layers("indexer.shared_layers", x.shared_layers, c.layer_count); !ok) return ok;
  if (x.is_shared(0))
    return refuse("indexer.shared_layers holds 0, expected none before the first layer that chooses keys");
  return {};
}

Result<void> check_activation(const ModelConfig& c) {
  switch (c.activation) {
    case Activation::silu:
    case Activation::gelu_tanh: return {};
    case Activation::relu_square:
      if (c.expert_bias || c.dense_beside_experts || c.layer_input_size > 0)
        return refuse(
            "activation is relu_square, expected gates with biases of experts, a dense FFN beside them or further "
            "inputs of layers");
      return {};
    case Activation::swiglu_clamped:
      return check_positive({{"swiglu_alpha", c.swiglu_alpha, 1e3}, {"swiglu_limit", c.swiglu_limit, 1e6}});
  }
  return refuse("activation is none of the known ones");
}

Result<void> check_attention(const ModelConfig& c) {
  if (auto ok =
          check_ranges({{"head_count", c.head_count, 1, kMaxHeads}, {"v_head_dim", c.v_head_dim, 1, kMaxHeadDim}});
      !ok)
    return ok;
  if (c.attention == AttentionKind::gqa) {
    if (auto ok = check_ranges(
            {{"kv_head_count", c.kv_head_count, 1, c.head_count}, {"head_dim", c.head_dim, 2, kMaxHeadDim}});
        !ok)
      return ok;
    if (c.head_count % c.kv_head_count != 0)
      return refuse(
          fmt::format("kv_head_count is {}, expected a divisor of head_count {}", c.kv_head_count, c.head_count));
    if (c.head_dim % 2 != 0)
      return refuse(fmt::format("head_dim is {}, expected an even number (RoPE pairs)", c.head_dim));
    if (c.rotary_dim < 0 || c.rotary_dim > c.head_dim || c.rotary_dim % 2 != 0)
      return refuse(fmt::format("rotary_dim is {}, expected an even number up to head_dim {} (RoPE pairs)",
                                c.rotary_dim, c.head_dim));
    if (c.v_head_dim != c.head_dim)
      return refuse(
          fmt::format("v_head_dim is {}, expected head_dim {} without latent attention", c.v_head_dim, c.head_dim));
    switch (c.qk_norm) {
      case QkNorm::none:
      case QkNorm::head:
      case QkNorm::head_after_rope:
      case QkNorm::projection: return {};
    }
    return refuse("qk_norm is none of the known kinds");
  }
  if (c.attention != AttentionKind::mla) return refuse("attention is none of the known kinds");
  if (auto ok = check_ranges({{"q_lora_rank", c.q_lora_rank, 0, kMaxWidth},
                              {"kv_lora_rank", c.kv_lora_rank, 1, kMaxWidth},
                              {"qk_nope_head_dim", c.qk_nope_head_dim, 1, kMaxHeadDim},
                              {"qk_rope_head_dim", c.qk_rope_head_dim, 2, kMaxHeadDim}});
      !ok)
    return ok;
  if (c.qk_rope_head_dim % 2 != 0)
    return refuse(fmt::format("qk_rope_head_dim is {}, expected an even number (RoPE pairs)", c.qk_rope_head_dim));
  if (c.qkv_bias) return refuse("qkv_bias is true, expected false with latent attention");
  if (c.qk_norm != QkNorm::none) return refuse("qk_norm is set, expected none with latent attention");
  if (c.rotary_dim != 0) return refuse(fmt::format("rotary_dim is {}, expected 0 with latent attention", c.rotary_dim));
  return {};
}

Result<void> check_ffn(const ModelConfig& c) {
  if (c.router.expert_count > 0) {
    if (auto ok = check_ranges({{"moe_intermediate_size", c.moe_intermediate_size, 1, kMaxFfnWidth},
                                {"shared_expert_count", c.shared_expert_count, 0, kMaxSharedExperts},
                                {"shared_expert_intermediate_size", c.shared_expert_intermediate_size, 0, kMaxFfnWidth},
                                {"first_k_dense_replace", c.first_k_dense_replace, 0, c.layer_count}});
        !ok)
      return ok;
    if (c.shared_expert_count == 0 && c.shared_expert_intermediate_size != 0)
      return refuse(fmt::format("shared_expert_intermediate_size is {}, expected 0 without shared experts",
                                c.shared_expert_intermediate_size));
  } else if (c.shared_expert_count != 0 || c.shared_expert_intermediate_size != 0) {
    return refuse(fmt::format("shared_expert_count is {}, expected 0 without routed experts", c.shared_expert_count));
  }
  if (c.shared_expert_gate && c.shared_width() == 0)
    return refuse("shared_expert_gate is true, expected false without shared experts");
  if (static_cast<std::int64_t>(c.mlp_only_layers.size()) > c.layer_count)
    return refuse(
        fmt::format("mlp_only_layers has {} entries, expected at most {}", c.mlp_only_layers.size(), c.layer_count));
  for (const std::int64_t layer : c.mlp_only_layers)
    if (auto ok = check_ranges({{"mlp_only_layers", layer, 0, c.layer_count - 1}}); !ok) return ok;
  bool some_dense = false;
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) some_dense |= c.has_dense_ffn(layer);
  if (some_dense) return check_ranges({{"intermediate_size", c.intermediate_size, 1, kMaxFfnWidth}});
  return {};
}

Result<void> check_soft_caps(const ModelConfig& c) {
  const std::pair<const char*, double> caps[] = {{"attn_logit_softcapping", c.attn_logit_softcapping},
                                                 {"final_logit_softcapping", c.final_logit_softcapping}};
  for (const auto& [name, cap] : caps)
    if (!(cap == 0.0 || (cap >= 1e-3 && cap <= 1e6)))
      return refuse(fmt::format("{} is {}, expected 0 (none) or a number from 0.001 to 1e6", name, cap));
  if (c.attention == AttentionKind::mla && c.attn_logit_softcapping != 0.0)
    return refuse("attn_logit_softcapping is set, expected none with latent attention");
  return {};
}

/// Layers with a state, and layers that lack one of their halves.
Result<void> check_mixers(const ModelConfig& c) {
  if (auto ok = check_layers("no_ffn_layers", c.no_ffn_layers, c.layer_count); !ok) return ok;
  const bool halves = !c.no_ffn_layers.empty() || std::count(c.mixers.begin(), c.mixers.end(), Mixer::none) > 0;
  if (halves && c.post_norms) return refuse("post_norms is set, expected it only where layers have both halves");
  if (c.mixers.empty()) return {};
  if (static_cast<std::int64_t>(c.mixers.size()) != c.layer_count)
    return refuse(fmt::format("mixers has {} entries, expected {}, one per layer", c.mixers.size(), c.layer_count));
  bool has_matrices = false;
  std::int64_t first = -1;  // with a state
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    const Mixer mixer = c.mixer(layer);
    if (name_of(mixer).empty()) return refuse(fmt::format("mixer of layer {} is none of the known ones", layer));
    if (mixer == Mixer::none && !c.has_ffn(layer))
      return refuse(fmt::format("layer {} has neither a mixer nor a feed-forward network, expected one", layer));
    if (first < 0 && c.is_recurrent(layer)) first = layer;
    if (c.is_recurrent(layer) && mixer != c.mixer(first))
      return refuse(fmt::format("mixer of layer {} is {}, expected attention, none or {} as in layer {}", layer,
                                name_of(mixer), name_of(c.mixer(first)), first));
    has_matrices |= mixer == Mixer::delta_net || mixer == Mixer::mamba2;
  }
  if (first < 0) return {};
  const RecurrentConfig& r = c.recurrent;
  if (auto ok = check_ranges({{"recurrent.conv_kernel", r.conv_kernel, 2, 64}}); !ok) return ok;
  if (c.rope.scaling == RopeScaling::longrope)
    return refuse("rope.scaling is longrope, expected another in a model with recurrent states");
  if (!has_matrices) return {};
  if (auto ok = check_ranges({{"recurrent.heads", r.heads, 1, kMaxHeads},
                              {"recurrent.key_heads", r.key_heads, 1, r.heads},
                              {"recurrent.key_dim", r.key_dim, 1, kMaxHeadDim},
                              {"recurrent.value_dim", r.value_dim, 1, kMaxHeadDim}});
      !ok)
    return ok;
  if (!(r.min_step >= 0.0 && r.min_step <= 1e3))
    return refuse(fmt::format("recurrent.min_step is {}, expected 0 to 1000", r.min_step));
  if (r.heads % r.key_heads != 0)
    return refuse(fmt::format("recurrent.key_heads is {}, expected a divisor of heads {}", r.key_heads, r.heads));
  return {};
}

/// One number per MoE layer, the largest in router.top_k, for which buffers are sized.
Result<void> check_layer_top_k(const ModelConfig& c) {
  if (c.layer_top_k.empty()) return {};
  if (static_cast<std::int64_t>(c.layer_top_k.size()) != c.moe_layer_count())
    return refuse(fmt::format("layer_top_k has {} numbers, expected {}, one per MoE layer", c.layer_top_k.size(),
                              c.moe_layer_count()));
  const std::int64_t most = c.router.expert_count / c.router.group_count * c.router.topk_group;
  Result<void> result;
  std::int64_t largest = 0;
  c.for_each_moe_layer([&](std::int64_t layer, std::int64_t index) {
    const std::int64_t top_k = c.moe_layer_top_k(index);
    largest = std::max(largest, top_k);
    if (result && (top_k < 1 || top_k > most))
      result = refuse(fmt::format("top_k of layer {} is {}, expected 1..{}", layer, top_k, most));
  });
  if (result && largest != c.router.top_k)
    return refuse(fmt::format("router.top_k is {}, expected {}, the largest of layer_top_k", c.router.top_k, largest));
  return result;
}

/// The largest parts in doubles: exact enough to prevent overflow of the integers of flops.hpp.
double rough_parameters(const ModelConfig& c) {
  const double d = static_cast<double>(c.hidden_size), layers = static_cast<double>(c.layer_count);
  const double experts = static_cast<double>(c.router.expert_count + c.shared_expert_count);
  const double dense =
      static_cast<double>(c.intermediate_size + c.kv_shared_intermediate_size + c.shared_expert_intermediate_size);
  const double heads = static_cast<double>(c.head_count);
  const double head_width =
      static_cast<double>(c.max_head_dim() + c.qk_nope_head_dim + c.qk_rope_head_dim + c.v_head_dim);
  const double ranks = static_cast<double>(c.q_lora_rank + c.kv_lora_rank);
  const double attention = 4.0 * d * heads * head_width + ranks * (d + heads * head_width);
  const double indexer = static_cast<double>(c.indexer.head_count) *
                         (static_cast<double>(c.indexer.head_dim) * static_cast<double>(c.q_lora_rank) + d);
  const double recurrent = 6.0 * d * static_cast<double>(c.recurrent.keys() + c.recurrent.values());
  return layers * (attention + indexer + recurrent +
                   3.0 * d * (experts * static_cast<double>(c.moe_intermediate_size) + dense)) +
         2.0 * d * static_cast<double>(c.vocab_size) +
         layers * static_cast<double>(c.layer_input_size) * (3.0 * d + static_cast<double>(c.layer_input_vocab_size));
}

}  // namespace

Result<void> validate(const ModelConfig& c) {
  if (auto ok = check_ranges({{"layer_count", c.layer_count, 1, kMaxLayers},
                              {"hidden_size", c.hidden_size, 1, kMaxWidth},
                              {"vocab_size", c.vocab_size, 1, kMaxVocabulary},
                              {"max_position", c.max_position, 1, kMaxPosition},
                              {"mtp_layer_count", c.mtp_layer_count, 0, kMaxMtpLayers}});
      !ok)
    return ok;
  // Heads first: families derive the softmax scale from them, and "head_dim is 0" is clearer than an infinite scale.
  if (auto ok = check_attention(c); !ok) return ok;
  if (auto ok = check_positive({{"rms_norm_eps", c.rms_norm_eps, 1.0},
                                {"softmax_scale", c.softmax_scale, 1e3},
                                {"embedding_scale", c.embedding_scale, 1e6},
                                {"residual_scale", c.residual_scale, 1e6},
                                {"logit_divisor", c.logit_divisor, 1e6}});
      !ok)
    return ok;
  if (auto ok = check_soft_caps(c); !ok) return ok;
  if (auto ok = check_rope(c.rope, c.full_rotated_dim()); !ok) return ok;
  if (auto ok = check_windows(c); !ok) return ok;
  if (auto ok = check_layer_shapes(c); !ok) return ok;
  if (auto ok = check_indexer(c); !ok) return ok;
  if (auto ok = check_layers("nope_layers", c.nope_layers, c.layer_count); !ok) return ok;
  if (c.attention == AttentionKind::mla && (!c.nope_layers.empty() || c.rope.query_growth != 0.0 || !c.pre_norms))
    return refuse(
        "nope_layers, rope.query_growth or a missing pre_norms is set, expected none of them with latent "
        "attention");
  if (c.sliding_rope && c.sliding_rope->scaling == RopeScaling::longrope)
    return refuse("sliding_rope.scaling is longrope, expected it of all layers or none");
  if (auto ok = check_activation(c); !ok) return ok;
  if (auto ok = check_mixers(c); !ok) return ok;
  if (auto ok = validate(c.router); !ok) return ok;
  if (auto ok = check_ffn(c); !ok) return ok;
  if (auto ok = check_layer_top_k(c); !ok) return ok;
  if (const double n = rough_parameters(c); n > static_cast<double>(kMaxParameters))
    return refuse(fmt::format("the model has about {:.3g} parameters, expected at most {:.3g}", n,
                              static_cast<double>(kMaxParameters)));
  return {};
}

}  // namespace moe::inline MOE_ABI

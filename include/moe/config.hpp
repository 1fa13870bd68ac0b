#pragma once
// What a model is, apart from its weights: plain aggregates with defaults. Parts have headers of their own:
// rope_config.hpp, router_config.hpp, indexer_config.hpp. validate() is in model.hpp.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/indexer_config.hpp"
#include "moe/rope_config.hpp"
#include "moe/router_config.hpp"

namespace moe::inline MOE_ABI {

enum class AttentionKind { gqa, mla };
constexpr std::string_view name_of(AttentionKind value) noexcept {
  switch (value) {
    case AttentionKind::gqa: return "gqa";
    case AttentionKind::mla: return "mla";
  }
  return "";
}
/// What combines the tokens of a sequence in a layer. All but attention keep a state of fixed size per sequence.
enum class Mixer {
  attention,   ///< of ModelConfig::attention's kind
  delta_net,   ///< gated delta rule after a causal convolution (Qwen3-Next)
  short_conv,  ///< gated causal convolution (LFM2)
  mamba2,      ///< selective state space after a causal convolution
  none,        ///< the layer is a feed-forward network only (Nemotron-H)
};
constexpr std::string_view name_of(Mixer value) noexcept {
  switch (value) {
    case Mixer::attention: return "attention";
    case Mixer::delta_net: return "delta_net";
    case Mixer::short_conv: return "short_conv";
    case Mixer::mamba2: return "mamba2";
    case Mixer::none: return "none";
  }
  return "";
}
/// RMSNorm of queries and keys, with one learnt weight per value.
enum class QkNorm {
  none,
  head,             ///< of each head, before RoPE (Qwen3)
  head_after_rope,  ///< of each head, after RoPE (Hunyuan)
  projection,       ///< of all heads as one vector, before RoPE (OLMoE)
};
constexpr std::string_view name_of(QkNorm value) noexcept {
  switch (value) {
    case QkNorm::none: return "none";
    case QkNorm::head: return "head";
    case QkNorm::head_after_rope: return "head_after_rope";
    case QkNorm::projection: return "projection";
  }
  return "";
}
/// What an FFN makes of gate and up.
enum class Activation {
  silu,            ///< silu(gate) * up
  gelu_tanh,       ///< gelu(gate) * up, GELU in its tanh form (Gemma)
  swiglu_clamped,  ///< (up + 1) * gate * sigmoid(alpha * gate) of clamped values (gpt-oss)
  relu_square,     ///< max(up, 0)^2: there is no gate (Nemotron-H)
};
constexpr std::string_view name_of(Activation value) noexcept {
  switch (value) {
    case Activation::silu: return "silu";
    case Activation::gelu_tanh: return "gelu_tanh";
    case Activation::swiglu_clamped: return "swiglu_clamped";
    case Activation::relu_square: return "relu_square";
  }
  return "";
}

/// Sizes of layers with a recurrent state. A state of delta_net and mamba2 is a matrix [key_dim, value_dim] per head.
struct RecurrentConfig {
  std::int64_t conv_kernel = 0;  ///< tokens that the causal convolution sees, the current one included
  std::int64_t key_heads = 0;    ///< delta_net: heads of q and k; mamba2: groups of B and C
  std::int64_t heads = 0;        ///< of values
  std::int64_t key_dim = 0;      ///< of q and k; mamba2: N, of B and C
  std::int64_t value_dim = 0;
  bool conv_bias = false;
  double min_step = 0.0;     ///< mamba2: steps are no smaller
  bool tiled_heads = false;  ///< head h of values uses key head h % key_heads (GGUF), not h / (heads / key_heads)
  bool operator==(const RecurrentConfig&) const = default;

  std::int64_t keys() const { return key_heads * key_dim; }
  std::int64_t values() const { return heads * value_dim; }
};

/// Layers [begin, end).
struct LayerRange {
  std::int64_t begin = 0, end = 0;
  friend bool operator==(const LayerRange&, const LayerRange&) = default;
};

struct ModelConfig {
  std::string family = {};  ///< "llama", "qwen3_moe", "deepseek_v3", ..: docs/MODELS.md lists them
  std::int64_t layer_count = 0;
  std::int64_t hidden_size = 0;  ///< D
  std::int64_t vocab_size = 0;   ///< V
  std::int64_t max_position = 0;
  double rms_norm_eps = 1e-6;
  bool tie_word_embeddings = false;

  AttentionKind attention = AttentionKind::gqa;
  std::int64_t head_count = 0;  ///< H
  std::int64_t kv_head_count = 0;
  std::int64_t head_dim = 0;  ///< of q and k (gqa)
  bool qkv_bias = false;
  bool o_bias = false;
  QkNorm qk_norm = QkNorm::none;
  std::int64_t rotary_dim = 0;                 ///< gqa: first values of a head, rotated by RoPE; 0 = all of head_dim
  std::vector<std::int64_t> nope_layers = {};  ///< ascending; layers without RoPE (SmolLM3)
  bool pre_norms = true;                       ///< RMSNorm of the input of attention and FFN; OLMo 2 has none
  bool post_norms = false;       ///< RMSNorm of the outputs of attention and FFN, before the sum (GLM-4-0414, Gemma 3)
  bool attention_sinks = false;  ///< one more logit per head, in the softmax only (gpt-oss)
  std::int64_t sliding_window = 0;                ///< keys that a query sees in sliding layers, its own included
  std::vector<std::int64_t> sliding_layers = {};  ///< ascending; empty: every layer sees all keys
  // Full layers, beside sliding ones, may have heads of their own (Gemma 4).
  std::int64_t full_head_dim = 0;       ///< of q, k and v in full layers; 0: head_dim
  std::int64_t full_kv_head_count = 0;  ///< 0: kv_head_count
  bool full_key_is_value =
      false;                ///< full layers have no projection of values: those are the keys before norm and RoPE
  bool value_norm = false;  ///< RMSNorm of each head of the values, without a weight
  /// The last layers have no keys and values: they use those of the last layer before them of the same kind.
  std::int64_t kv_shared_layer_count = 0;

  bool attention_gate = false;  ///< sigmoid(gate), one value per output of the heads, multiplies them (Qwen3-Next)

  std::vector<Mixer> mixers = {};                ///< [layer]; empty: attention in all layers
  std::vector<std::int64_t> no_ffn_layers = {};  ///< ascending; layers that end after their mixer (Nemotron-H)
  RecurrentConfig recurrent = {};

  std::int64_t q_lora_rank = 0;  ///< 0 = queries are projected in one step
  std::int64_t kv_lora_rank = 0;
  std::int64_t qk_nope_head_dim = 0;
  std::int64_t qk_rope_head_dim = 0;
  std::int64_t v_head_dim = 0;  ///< mla; gqa: equal to head_dim
  IndexerConfig indexer = {};   ///< mla: attention to chosen keys (DeepSeek-V3.2)

  double softmax_scale = 0.0;  ///< multiplies q.k; includes YaRN's mscale^2
  RopeConfig rope = {};
  std::optional<RopeConfig> sliding_rope = {};  ///< of sliding layers, if different (Gemma 3)

  /// Scores and logits become cap * tanh(x / cap): of attention (gqa only) and of the head. 0: no cap (Gemma 2).
  double attn_logit_softcapping = 0.0, final_logit_softcapping = 0.0;
  double embedding_scale = 1.0;  ///< multiplies the embedding, but not a tied head (Gemma: sqrt(D))
  double residual_scale = 1.0;   ///< multiplies what a branch adds to the residual stream (Granite)
  double logit_divisor = 1.0;    ///< divides the logits (Granite)
  Activation activation = Activation::silu;
  double swiglu_alpha = 1.702, swiglu_limit = 7.0;  ///< of swiglu_clamped

  std::int64_t intermediate_size = 0;            ///< of dense layers
  std::int64_t kv_shared_intermediate_size = 0;  ///< of those that share keys and values; 0: the same
  /// MoE layers have a dense FFN, too. Both branches have norms of their own before and after them, and so has the router;
  /// a factor per expert multiplies its weight at last (Gemma 4).
  bool dense_beside_experts = false;
  bool layer_scalar = false;                ///< a factor multiplies the stream at the end of each layer (Gemma 4)
  std::int64_t layer_input_size = 0;        ///< of a further input of every layer, by token; 0: none (Gemma 4 E2B)
  std::int64_t layer_input_vocab_size = 0;  ///< rows of its table, V at least
  std::int64_t moe_intermediate_size = 0;   ///< F, of one routed expert
  std::int64_t shared_expert_count = 0;
  std::int64_t shared_expert_intermediate_size =
      0;                                   ///< of all shared experts together; 0 = count * moe_intermediate_size
  bool shared_expert_gate = false;         ///< weights their output by sigmoid(gate . x) (Qwen2-MoE)
  std::int64_t first_k_dense_replace = 0;  ///< layers before this one are dense
  /// Further dense layers (Qwen's mlp_only_layers and decoder_sparse_step); empty for nearly all published models.
  std::vector<std::int64_t> mlp_only_layers = {};
  bool expert_bias = false;  ///< gate, up and down of every routed expert have a bias
  bool router_bias = false;  ///< added to the router's logits (gpt-oss); not the selection bias
  RouterConfig router = {};
  /// Experts per token of each MoE layer, in layer order, if they differ; router.top_k is then their maximum.
  /// Empty: router.top_k in all layers.
  std::vector<std::int64_t> layer_top_k = {};

  std::int64_t mtp_layer_count =
      0;                         ///< multi-token-prediction (MTP) layers in the file, which are no part of the model
  bool mtp_shares_ends = false;  ///< they have no embedding and no head of their own (Hunyuan 3, Qwen3-Next)
  /// The model is such a layer (mtp_config): it reads the states of another model beside tokens (BatchItem::states).
  bool is_mtp_layer = false;

  Mixer mixer(std::int64_t layer) const {
    return mixers.empty() ? Mixer::attention : mixers[static_cast<std::size_t>(layer)];
  }
  bool has_ffn(std::int64_t layer) const {
    return !std::binary_search(no_ffn_layers.begin(), no_ffn_layers.end(), layer);
  }
  bool is_recurrent(std::int64_t layer) const {
    return mixer(layer) != Mixer::attention && mixer(layer) != Mixer::none;
  }
  /// Channels of the causal convolution of this layer; 0: it has none.
  std::int64_t conv_channels(std::int64_t layer) const {
    if (!is_recurrent(layer)) return 0;
    return mixer(layer) == Mixer::short_conv ? hidden_size : 2 * recurrent.keys() + recurrent.values();
  }
  /// Outputs of the projections of a recurrent layer, and inputs of its output projection.
  std::int64_t recurrent_in_width(std::int64_t layer) const {
    if (mixer(layer) == Mixer::short_conv) return 3 * hidden_size;
    return conv_channels(layer) + recurrent.values() + (mixer(layer) == Mixer::delta_net ? 2 : 1) * recurrent.heads;
  }
  std::int64_t recurrent_out_width(std::int64_t layer) const {
    return mixer(layer) == Mixer::short_conv ? hidden_size : recurrent.values();
  }
  std::int64_t attention_layer_count() const {
    std::int64_t n = 0;
    for (std::int64_t layer = 0; layer < layer_count; ++layer) n += mixer(layer) == Mixer::attention;
    return n;
  }
  /// Most keys that a query of this layer sees; 0 = all before it.
  std::int64_t window(std::int64_t layer) const {
    return std::binary_search(sliding_layers.begin(), sliding_layers.end(), layer) ? sliding_window : 0;
  }
  std::int64_t head_dim_of(std::int64_t layer) const {
    return full_head_dim > 0 && window(layer) == 0 ? full_head_dim : head_dim;
  }
  std::int64_t kv_heads_of(std::int64_t layer) const {
    return full_kv_head_count > 0 && window(layer) == 0 ? full_kv_head_count : kv_head_count;
  }
  std::int64_t max_head_dim() const { return std::max(head_dim, full_head_dim); }
  /// Outputs of the projection of keys, in the layers that have the most.
  std::int64_t max_key_width() const {
    std::int64_t most = 0;
    for (std::int64_t layer = 0; layer < layer_count; ++layer)
      most = std::max(most, kv_heads_of(layer) * head_dim_of(layer));
    return most;
  }
  /// The layer chooses keys itself (DSA).
  bool has_indexer(std::int64_t layer) const {
    return indexer.head_count > 0 && mixer(layer) == Mixer::attention && !indexer.is_shared(layer);
  }
  /// Most keys that a query of this layer attends to, of those that it sees; 0 = all.
  std::int64_t key_limit(std::int64_t layer) const { return indexer.top_k > 0 ? indexer.top_k : window(layer); }
  bool has_keys(std::int64_t layer) const { return layer < layer_count - kv_shared_layer_count; }
  bool has_value_projection(std::int64_t layer) const {
    return has_keys(layer) && !(full_key_is_value && window(layer) == 0);
  }
  /// The layer whose keys and values this one uses; -1: there is none (validate() refuses that).
  std::int64_t key_layer(std::int64_t layer) const {
    if (has_keys(layer)) return layer;
    std::int64_t l = layer_count - kv_shared_layer_count - 1;
    while (l >= 0 && (window(l) > 0) != (window(layer) > 0)) --l;
    return l;
  }
  std::int64_t dense_width(std::int64_t layer) const {
    return has_keys(layer) || kv_shared_intermediate_size == 0 ? intermediate_size : kv_shared_intermediate_size;
  }
  bool has_rope(std::int64_t layer) const { return !std::binary_search(nope_layers.begin(), nope_layers.end(), layer); }
  /// Values of a head that RoPE rotates.
  std::int64_t rotated_dim() const {
    return attention == AttentionKind::mla ? qk_rope_head_dim : (rotary_dim > 0 ? rotary_dim : head_dim);
  }
  /// The same of `rope`, which in a model with sliding_rope is that of full layers.
  std::int64_t full_rotated_dim() const { return full_head_dim > 0 ? full_head_dim : rotated_dim(); }
  /// Hidden width of the shared experts as one FFN.
  std::int64_t shared_width() const {
    return shared_expert_intermediate_size > 0 ? shared_expert_intermediate_size
                                               : shared_expert_count * moe_intermediate_size;
  }
  bool layer_is_moe(std::int64_t layer) const {
    if (router.expert_count == 0 || layer < first_k_dense_replace || !has_ffn(layer)) return false;
    for (std::int64_t dense : mlp_only_layers)
      if (dense == layer) return false;
    return true;
  }

  /// Matrices of an FFN: gate, up and down, or the last two.
  std::int64_t ffn_matrices() const { return activation == Activation::relu_square ? 2 : 3; }
  bool has_gates() const { return ffn_matrices() == 3; }
  /// A branch's output is built apart before it joins the residual stream.
  bool sums_branches() const { return post_norms || residual_scale != 1.0; }
  bool has_dense_ffn(std::int64_t layer) const {
    return has_ffn(layer) && (!layer_is_moe(layer) || dense_beside_experts);
  }
  std::int64_t moe_layer_count() const {
    std::int64_t n = 0;
    for (std::int64_t layer = 0; layer < layer_count; ++layer) n += layer_is_moe(layer);
    return n;
  }
  /// Experts per token in MoE layer number `index` (dense layers not counted).
  std::int64_t moe_layer_top_k(std::int64_t index) const {
    return layer_top_k.empty() ? router.top_k : layer_top_k[static_cast<std::size_t>(index)];
  }
  /// Calls visit(layer, index among the MoE layers) for each MoE layer.
  template <class Visit>
  void for_each_moe_layer(Visit&& visit) const {
    std::int64_t index = 0;
    for (std::int64_t layer = 0; layer < layer_count; ++layer)
      if (layer_is_moe(layer)) visit(layer, index++);
  }

  bool operator==(const ModelConfig&) const = default;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// The single definition of FLOPs (2 per multiply-add of a matmul). Parameters and bytes are in weight_shapes.hpp,
// which comes with it.

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "moe/config.hpp"
#include "moe/weight_shapes.hpp"

namespace moe::inline MOE_ABI {

/// Exact work in FLOPs (2 per multiply-add), split by kind. Norms, softmax and activations are not counted.
struct Work {
  std::int64_t attention_projection = 0;  ///< q, k, v, o, MLA's down and up projections, and the indexer's
  std::int64_t attention_score = 0;       ///< q.k over the visible keys, of which DSA attends to the chosen ones
  std::int64_t attention_value = 0;       ///< p.v over the same keys
  std::int64_t index_score = 0;           ///< of the indexer (DSA), over all keys where it chooses among them
  std::int64_t recurrent = 0;             ///< convolutions, and products with the states of recurrent layers
  std::int64_t router = 0;
  std::int64_t routed_experts = 0;
  std::int64_t shared_experts = 0;  ///< their gate included
  std::int64_t dense_ffn = 0;       ///< with the further inputs of layers (layer_input_size)
  std::int64_t head = 0;
  std::int64_t mtp_projection = 0;  ///< of an MTP layer: its input, from an embedding and a state
  std::int64_t tokens = 0;          ///< tokens run through the layers
  std::int64_t head_tokens = 0;     ///< positions whose logits were computed

  std::int64_t total() const;  ///< the sum of kWorkParts
  Work& operator+=(const Work& o);
  Work& operator-=(const Work& o);
  friend bool operator==(const Work&, const Work&) = default;
};

/// A kind of work, by name.
struct WorkPart {
  std::string_view name = {};
  std::int64_t Work::*flops = nullptr;
};
/// The kinds of work that add up to Work::total(), with their names in run.json.
inline constexpr std::array kWorkParts = {
    WorkPart{"attention_projection", &Work::attention_projection},
    WorkPart{"attention_score", &Work::attention_score},
    WorkPart{"attention_value", &Work::attention_value},
    WorkPart{"index_score", &Work::index_score},
    WorkPart{"recurrent", &Work::recurrent},
    WorkPart{"router", &Work::router},
    WorkPart{"routed_experts", &Work::routed_experts},
    WorkPart{"shared_experts", &Work::shared_experts},
    WorkPart{"dense_ffn", &Work::dense_ffn},
    WorkPart{"head", &Work::head},
    WorkPart{"mtp_projection", &Work::mtp_projection},
};

inline std::int64_t Work::total() const {
  std::int64_t sum = 0;
  for (const WorkPart& part : kWorkParts) sum += this->*part.flops;
  return sum;
}
inline Work& Work::operator+=(const Work& o) {
  for (const WorkPart& part : kWorkParts) this->*part.flops += o.*part.flops;
  tokens += o.tokens;
  head_tokens += o.head_tokens;
  return *this;
}
inline Work& Work::operator-=(const Work& o) {
  for (const WorkPart& part : kWorkParts) this->*part.flops -= o.*part.flops;
  tokens -= o.tokens;
  head_tokens -= o.head_tokens;
  return *this;
}

/// expanded: the textbook form of MLA, keys and values per head. absorbed: what libmoe runs (docs/NUMERICS.md).
enum class MlaForm { expanded, absorbed };
constexpr std::string_view name_of(MlaForm value) noexcept {
  switch (value) {
    case MlaForm::expanded: return "expanded";
    case MlaForm::absorbed: return "absorbed";
  }
  return "";
}

/// Keys that the new tokens attend to in this layer, summed: i + 1 at position i, at most the layer's window, or the
/// indexer's top_k.
inline std::int64_t visible_keys(const ModelConfig& c, std::int64_t layer, std::int64_t cached_tokens,
                                 std::int64_t new_tokens) {
  const std::int64_t limit = c.key_limit(layer);
  // The first `rising` tokens see all keys before them.
  std::int64_t rising = new_tokens;
  if (limit > 0) rising = std::clamp(limit - cached_tokens, std::int64_t{0}, new_tokens);
  return rising * cached_tokens + rising * (rising + 1) / 2 + (new_tokens - rising) * limit;
}

/// Keys that the layer's indexer scores for the new tokens, summed: i + 1 at position i, where those are more than top_k.
inline std::int64_t indexed_keys(const ModelConfig& c, std::int64_t layer, std::int64_t cached_tokens,
                                 std::int64_t new_tokens) {
  if (!c.has_indexer(layer)) return 0;
  const std::int64_t first = std::max(cached_tokens, c.indexer.top_k), end = cached_tokens + new_tokens;
  return first >= end ? 0 : (end - first) * (first + end + 1) / 2;
}

/// Routed experts of all tokens, summed over the MoE layers: top_k of each layer. With router.expert_mass this is an
/// upper bound; StepOutput::expert_counts has the actual number.
inline std::int64_t routed_expert_count(const ModelConfig& c, std::int64_t tokens) {
  std::int64_t per_token = 0;
  c.for_each_moe_layer([&](std::int64_t, std::int64_t index) { per_token += c.moe_layer_top_k(index); });
  return tokens * per_token;
}
/// FLOPs of running `expert_count` routed experts for one token each.
inline std::int64_t routed_expert_flops(const ModelConfig& c, std::int64_t expert_count) {
  return 2 * expert_count * c.ffn_matrices() * c.hidden_size * c.moe_intermediate_size;
}

/// Products with the state, of key_dim * value_dim multiply-adds each, per token and head. delta_net: what the state
/// says about the key, its update, what it says about the query; mamba2: the last two.
constexpr std::int64_t state_products(Mixer mixer) { return mixer == Mixer::delta_net ? 3 : 2; }

namespace detail {

/// Outputs of the projections of keys and values, of a layer with grouped queries.
inline std::int64_t key_value_width(const ModelConfig& c, std::int64_t layer) {
  const std::int64_t projections = (c.has_keys(layer) ? 1 : 0) + (c.has_value_projection(layer) ? 1 : 0);
  return projections * c.kv_heads_of(layer) * c.head_dim_of(layer);
}

/// Of one layer with a state.
inline void add_recurrent_work(const ModelConfig& c, std::int64_t layer, std::int64_t tokens, Work& w) {
  const RecurrentConfig& r = c.recurrent;
  w.attention_projection += 2 * tokens * c.hidden_size * (c.recurrent_in_width(layer) + c.recurrent_out_width(layer));
  w.recurrent += 2 * tokens * r.conv_kernel * c.conv_channels(layer);
  if (c.mixer(layer) != Mixer::short_conv)
    w.recurrent += 2 * tokens * state_products(c.mixer(layer)) * r.key_dim * r.values();
}

/// Of one layer that chooses keys: its projections, q.k of each of its heads and their weighted sum.
inline void add_indexer_work(const ModelConfig& c, std::int64_t scored_keys, std::int64_t tokens, Work& w) {
  const std::int64_t heads = c.indexer.head_count, dim = c.indexer.head_dim;
  w.attention_projection += 2 * tokens * (heads * dim * c.q_lora_rank + (dim + heads) * c.hidden_size);
  w.index_score += 2 * scored_keys * heads * (dim + 1);
}

/// forward_work() when the cached keys and values can be used as they are.
inline Work appended_work(const ModelConfig& c, std::int64_t cached_tokens, std::int64_t new_tokens,
                          std::int64_t logit_rows, MlaForm form);

}  // namespace detail

/// Work of running `new_tokens` tokens after `cached_tokens` that are in the cache, logits at `logit_rows` positions.
/// Token i sees cached_tokens + i + 1 keys, or as many of them as the layer's window holds.
/// When a sequence grows past LongRoPE's original context, its cached tokens are recomputed and count as new.
inline Work forward_work(const ModelConfig& c, std::int64_t cached_tokens, std::int64_t new_tokens,
                         std::int64_t logit_rows, MlaForm form) {
  const std::int64_t context = c.rope.original_max_position;
  const bool anew = c.rope.scaling == RopeScaling::longrope && cached_tokens > 0 && cached_tokens <= context &&
                    cached_tokens + new_tokens > context && new_tokens > 0;
  return anew ? detail::appended_work(c, 0, cached_tokens + new_tokens, logit_rows, form)
              : detail::appended_work(c, cached_tokens, new_tokens, logit_rows, form);
}

inline Work detail::appended_work(const ModelConfig& c, std::int64_t cached_tokens, std::int64_t new_tokens,
                                  std::int64_t logit_rows, MlaForm form) {
  Work w;
  const std::int64_t n = new_tokens;
  const std::int64_t D = c.hidden_size, H = c.head_count;
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    const std::int64_t visible = visible_keys(c, layer, cached_tokens, n);
    if (c.is_recurrent(layer)) {
      add_recurrent_work(c, layer, n, w);
    } else if (c.mixer(layer) == Mixer::none) {
      // Nothing.
    } else if (c.attention == AttentionKind::gqa) {
      const std::int64_t q = H * c.head_dim_of(layer), gate = c.attention_gate ? q : 0;
      w.attention_projection += 2 * n * D * (q + gate + key_value_width(c, layer)) + 2 * n * q * D;
      w.attention_score += 2 * visible * q;
      w.attention_value += 2 * visible * q;
    } else {
      const std::int64_t nope = c.qk_nope_head_dim, rope = c.qk_rope_head_dim, v = c.v_head_dim, r = c.kv_lora_rank;
      const std::int64_t q_in = c.q_lora_rank > 0 ? c.q_lora_rank : D;
      if (c.q_lora_rank > 0) w.attention_projection += 2 * n * D * c.q_lora_rank;
      w.attention_projection += 2 * n * q_in * H * (nope + rope);
      w.attention_projection += 2 * n * D * (r + rope);
      // kv_b: per token in both forms; expanded makes keys and values, absorbed maps queries in and outputs out.
      w.attention_projection += 2 * n * H * (nope + v) * r;
      w.attention_projection += 2 * n * H * v * D;
      if (c.has_indexer(layer)) add_indexer_work(c, indexed_keys(c, layer, cached_tokens, n), n, w);
      const std::int64_t qk = form == MlaForm::expanded ? nope + rope : r + rope;
      const std::int64_t vd = form == MlaForm::expanded ? v : r;
      w.attention_score += 2 * visible * H * qk;
      w.attention_value += 2 * visible * H * vd;
    }
    if (c.layer_is_moe(layer)) {
      w.router += 2 * n * D * c.router.expert_count;
      w.shared_experts += 2 * n * D * (c.ffn_matrices() * c.shared_width() + (c.shared_expert_gate ? 1 : 0));
    }
    if (c.has_dense_ffn(layer)) w.dense_ffn += 2 * n * c.ffn_matrices() * D * c.dense_width(layer);
    w.dense_ffn += 2 * n * 2 * D * c.layer_input_size;
  }
  w.dense_ffn += 2 * n * D * c.layer_count * c.layer_input_size;
  w.routed_experts = routed_expert_flops(c, routed_expert_count(c, n));
  w.head = 2 * logit_rows * D * c.vocab_size;
  w.mtp_projection = c.is_mtp_layer ? 2 * n * D * 2 * D : 0;
  w.tokens = n;
  w.head_tokens = logit_rows;
  return w;
}

/// The same with the actual number of routed experts that the new tokens went to, summed over tokens and layers
/// (StepOutput::expert_counts), for router.expert_mass.
inline Work forward_work(const ModelConfig& c, std::int64_t cached_tokens, std::int64_t new_tokens,
                         std::int64_t logit_rows, MlaForm form, std::int64_t expert_count) {
  Work w = forward_work(c, cached_tokens, new_tokens, logit_rows, form);
  w.routed_experts = routed_expert_flops(c, expert_count);
  return w;
}

/// FLOPs of one token whose query sees `keys` keys (itself included) in every layer: scores, those of the indexer
/// included, and values, no projection.
inline std::int64_t attention_flops(const ModelConfig& c, std::int64_t keys, MlaForm form) {
  const Work w = detail::appended_work(c, keys - 1, 1, 0, form);
  return w.attention_score + w.attention_value + w.index_score;
}

/// Whether the language-model head is counted: a prompt needs it for its last token only, a reply for each token.
enum class HeadFlops { include, exclude };
constexpr std::string_view name_of(HeadFlops value) noexcept {
  switch (value) {
    case HeadFlops::include: return "include";
    case HeadFlops::exclude: return "exclude";
  }
  return "";
}

/// FLOPs per token that do not depend on the context: 2 * active matmul parameters, and in hybrids those of convolutions
/// and of products with states.
inline std::int64_t weight_flops_per_token(const ModelConfig& c, HeadFlops head = HeadFlops::include) {
  const Work w = forward_work(c, 0, 1, head == HeadFlops::include ? 1 : 0, MlaForm::expanded);
  return w.total() - w.attention_score - w.attention_value - w.index_score;
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Every weight of a model by its shape: parameter counts, the bytes a token reads, and what a sequence keeps.

#include <cstdint>

#include "moe/config.hpp"
#include "moe/detail/state_layout.hpp"
#include "moe/kv_type.hpp"

namespace moe::inline MOE_ABI {

enum class WeightPart {
  embedding,
  layer_embedding,
  attention,
  router,
  routed_experts,
  shared_experts,
  dense_ffn,
  head,
  vector,
  mtp_projection,
};
constexpr std::string_view name_of(WeightPart value) noexcept {
  switch (value) {
    case WeightPart::embedding: return "embedding";
    case WeightPart::layer_embedding: return "layer_embedding";
    case WeightPart::attention: return "attention";
    case WeightPart::router: return "router";
    case WeightPart::routed_experts: return "routed_experts";
    case WeightPart::shared_experts: return "shared_experts";
    case WeightPart::dense_ffn: return "dense_ffn";
    case WeightPart::head: return "head";
    case WeightPart::vector: return "vector";
    case WeightPart::mtp_projection: return "mtp_projection";
  }
  return "";
}

/// One weight of the model, or several of one shape.
struct WeightShape {
  WeightPart part = WeightPart::vector;
  std::int64_t layer = -1;  ///< -1: outside the layers
  std::int64_t rows = 1, cols = 1;
  std::int64_t stored = 1;   ///< how many the model holds (E for routed experts)
  std::int64_t touched = 1;  ///< how many one token reads (K for routed experts)
  std::int64_t parameters() const { return rows * cols * stored; }
  std::int64_t touched_parameters() const { return rows * cols * touched; }
};

namespace detail {

/// The weights of one layer after the other; for_each_weight() is the function to call.
template <class Visit>
class WeightWalk {
 public:
  WeightWalk(const ModelConfig& c, Visit& visit) : c_(c), visit_(visit) {}

  void outside_layers() {
    visit_(WeightShape{WeightPart::embedding, -1, c_.vocab_size, c_.hidden_size, 1, 0});
    if (const std::int64_t n = c_.layer_input_size; n > 0) {
      visit_(WeightShape{WeightPart::layer_embedding, -1, c_.layer_input_vocab_size, c_.layer_count * n, 1, 0});
      matrix(WeightPart::dense_ffn, c_.layer_count * n, c_.hidden_size);
      vector(n);
    }
    if (c_.is_mtp_layer) {
      matrix(WeightPart::mtp_projection, c_.hidden_size, 2 * c_.hidden_size);
      vector(2 * c_.hidden_size);  // norms of embedding and state
    }
  }

  void layer(std::int64_t l) {
    layer_ = l;
    if (c_.pre_norms) vector(((c_.mixer(l) != Mixer::none ? 1 : 0) + (c_.has_ffn(l) ? 1 : 0)) * c_.hidden_size);
    if (c_.is_recurrent(l))
      recurrent();
    else if (c_.mixer(l) == Mixer::attention)
      c_.attention == AttentionKind::gqa ? gqa() : mla();
    if (c_.post_norms) vector(2 * c_.hidden_size);
    if (c_.layer_is_moe(l)) experts();
    if (c_.has_dense_ffn(l)) ffn(WeightPart::dense_ffn, c_.dense_width(l), 1, 1);
    if (const std::int64_t n = c_.layer_input_size; n > 0) {
      matrix(WeightPart::dense_ffn, n, c_.hidden_size);
      matrix(WeightPart::dense_ffn, c_.hidden_size, n);
      vector(c_.hidden_size);
    }
    if (c_.layer_scalar) vector(1);
  }

  void end() {
    layer_ = -1;
    vector(c_.hidden_size);
    matrix(WeightPart::head, c_.vocab_size, c_.hidden_size, c_.tie_word_embeddings ? 0 : 1);
  }

 private:
  void matrix(WeightPart part, std::int64_t rows, std::int64_t cols, std::int64_t stored = 1,
              std::int64_t touched = 1) {
    visit_(WeightShape{part, layer_, rows, cols, stored, touched});
  }
  void vector(std::int64_t n) { matrix(WeightPart::vector, 1, n); }
  void ffn(WeightPart part, std::int64_t width, std::int64_t stored, std::int64_t touched) {
    if (c_.has_gates()) matrix(part, width, c_.hidden_size, stored, touched);
    matrix(part, width, c_.hidden_size, stored, touched);  // up
    matrix(part, c_.hidden_size, width, stored, touched);  // down
  }

  void recurrent() {
    const RecurrentConfig& r = c_.recurrent;
    matrix(WeightPart::attention, c_.recurrent_in_width(layer_), c_.hidden_size);
    matrix(WeightPart::attention, c_.hidden_size, c_.recurrent_out_width(layer_));
    const bool mamba = c_.mixer(layer_) == Mixer::mamba2;
    vector((r.conv_kernel + (mamba && r.conv_bias ? 1 : 0)) * c_.conv_channels(layer_));
    if (c_.mixer(layer_) != Mixer::short_conv) vector((mamba ? 3 : 2) * r.heads + (mamba ? r.values() : r.value_dim));
  }

  void gqa() {
    const std::int64_t D = c_.hidden_size, H = c_.head_count, hd = c_.head_dim_of(layer_);
    const std::int64_t q = H * hd, kv = c_.kv_heads_of(layer_) * hd;
    matrix(WeightPart::attention, c_.attention_gate ? 2 * q : q, D);
    if (c_.has_keys(layer_)) matrix(WeightPart::attention, kv, D);
    if (c_.has_value_projection(layer_)) matrix(WeightPart::attention, kv, D);
    matrix(WeightPart::attention, D, q);
    if (c_.qkv_bias) vector(q + 2 * kv);
    if (c_.o_bias) vector(D);
    if (c_.attention_sinks) vector(H);
    if (c_.qk_norm == QkNorm::projection)
      vector(q + kv);
    else if (c_.qk_norm != QkNorm::none)
      vector((c_.has_keys(layer_) ? 2 : 1) * hd);
  }

  void mla() {
    const std::int64_t D = c_.hidden_size, H = c_.head_count, qk = c_.qk_nope_head_dim + c_.qk_rope_head_dim;
    if (c_.q_lora_rank > 0) {
      matrix(WeightPart::attention, c_.q_lora_rank, D);
      vector(c_.q_lora_rank);
    }
    matrix(WeightPart::attention, H * qk, c_.q_lora_rank > 0 ? c_.q_lora_rank : D);
    matrix(WeightPart::attention, c_.kv_lora_rank + c_.qk_rope_head_dim, D);
    vector(c_.kv_lora_rank);
    matrix(WeightPart::attention, H * (c_.qk_nope_head_dim + c_.v_head_dim), c_.kv_lora_rank);
    matrix(WeightPart::attention, D, H * c_.v_head_dim);
    if (!c_.has_indexer(layer_)) return;
    matrix(WeightPart::attention, c_.indexer.head_count * c_.indexer.head_dim, c_.q_lora_rank);
    matrix(WeightPart::attention, c_.indexer.head_dim, D);
    matrix(WeightPart::attention, c_.indexer.head_count, D);
    vector(2 * c_.indexer.head_dim);
  }

  void experts() {
    const std::int64_t D = c_.hidden_size, E = c_.router.expert_count, top_k = c_.moe_layer_top_k(moe_layers_++);
    matrix(WeightPart::router, E, D);
    if (c_.router.selection_bias) vector(E);
    if (c_.router_bias) vector(E);
    if (c_.expert_bias) matrix(WeightPart::vector, 1, 2 * c_.moe_intermediate_size + D, E, top_k);
    ffn(WeightPart::routed_experts, c_.moe_intermediate_size, E, top_k);
    if (c_.shared_width() > 0) ffn(WeightPart::shared_experts, c_.shared_width(), 1, 1);
    if (c_.shared_expert_gate) matrix(WeightPart::shared_experts, 1, D);
    if (c_.dense_beside_experts) vector(4 * D + E);  // norms of branches and router; factors
  }

  const ModelConfig& c_;
  Visit& visit_;
  std::int64_t layer_ = -1, moe_layers_ = 0;
};

}  // namespace detail

/// Calls visit(WeightShape) for every weight of the model except MTP layers. Norms, biases and the selection bias are
/// vectors. A tied head has stored = 0, because its parameters are counted with the embedding.
template <class Visit>
void for_each_weight(const ModelConfig& c, Visit&& visit) {
  detail::WeightWalk walk(c, visit);
  walk.outside_layers();
  for (std::int64_t l = 0; l < c.layer_count; ++l) walk.layer(l);
  walk.end();
}

/// Parameters of the whole model and those active for one token. Vendors count "active" in three ways:
/// DeepSeek with embedding and head, gpt-oss with the head alone, Moonlight with neither.
struct ParameterCount {
  std::int64_t total = 0;                  ///< all stored parameters, a tied head once, without MTP layers
  std::int64_t matrices = 0;               ///< total without norms and biases
  std::int64_t active_matmul = 0;          ///< matrices that one token is multiplied with, head included
  std::int64_t active_with_embedding = 0;  ///< active_matmul and the input embedding (once, when tied)
  std::int64_t active_without_head = 0;    ///< neither embedding nor head
};

inline ParameterCount count_parameters(const ModelConfig& c) {
  ParameterCount n;
  std::int64_t embedding = 0, head = 0;
  for_each_weight(c, [&](const WeightShape& w) {
    n.total += w.parameters();
    if (w.part == WeightPart::vector) return;
    n.matrices += w.parameters();
    if (w.part == WeightPart::embedding) embedding = w.parameters();
    if (w.part == WeightPart::head) head = w.touched_parameters();
    n.active_matmul += w.touched_parameters();
  });
  n.active_without_head = n.active_matmul - head;
  n.active_with_embedding = n.active_matmul + (c.tie_word_embeddings ? 0 : embedding);
  return n;
}

/// Parameters of the multi-token-prediction layers in the file, including the copies of embedding and head that each of
/// them has in most families (DeepSeek-V3: one layer, 13.5e9).
inline std::int64_t count_mtp_parameters(const ModelConfig& c) {
  std::int64_t layer = 0, ends = 0, like = c.layer_count - 1;  // the last layer of attention
  while (like > 0 && c.mixer(like) != Mixer::attention) --like;
  for_each_weight(c, [&](const WeightShape& w) {
    if (w.layer == like) layer += w.parameters();
    if (w.part == WeightPart::embedding && !c.mtp_shares_ends) ends = 2 * w.rows * w.cols;
  });
  const std::int64_t D = c.hidden_size;
  return c.mtp_layer_count * (layer + ends + 2 * D * D + 3 * D);  // eh_proj; enorm, hnorm, shared_head.norm
}

/// Bytes of weights that decoding one token reads: the matrices it is multiplied with, its row of the embedding, norms
/// and biases. bytes_of(const WeightShape&, std::int64_t rows) returns the bytes of `rows` rows in that weight's
/// format.
template <class BytesOf>
std::int64_t weight_bytes_touched(const ModelConfig& c, BytesOf&& bytes_of) {
  std::int64_t bytes = 0;
  for_each_weight(c, [&](const WeightShape& w) {
    if (w.part == WeightPart::embedding || w.part == WeightPart::layer_embedding)
      bytes += bytes_of(w, 1);
    else
      bytes += w.touched * bytes_of(w, w.rows);
  });
  return bytes;
}

/// Bytes of the weights as stored, with the same function.
template <class BytesOf>
std::int64_t weight_bytes_stored(const ModelConfig& c, BytesOf&& bytes_of) {
  std::int64_t bytes = 0;
  for_each_weight(c, [&](const WeightShape& w) { bytes += w.stored * bytes_of(w, w.rows); });
  return bytes;
}

namespace detail {

/// Calls visit(kv heads, values of a head) for each layer that has keys and values per head.
template <class Visit>
void for_each_cache_layer(const ModelConfig& c, Visit&& visit) {
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer)
    if (c.mixer(layer) == Mixer::attention && c.has_keys(layer)) visit(c.kv_heads_of(layer), c.head_dim_of(layer));
}

/// Layers that have keys of an indexer.
inline std::int64_t indexer_count(const ModelConfig& c) {
  std::int64_t n = 0;
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) n += c.has_indexer(layer);
  return n;
}

}  // namespace detail

/// Values per token that the cache holds: K and V per head, or MLA's latent and its RoPE key, with the indexer's key.
inline std::int64_t cache_values_per_token(const ModelConfig& c) {
  if (c.attention == AttentionKind::mla)
    return c.attention_layer_count() * (c.kv_lora_rank + c.qk_rope_head_dim) +
           detail::indexer_count(c) * c.indexer.head_dim;
  std::int64_t values = 0;
  detail::for_each_cache_layer(c, [&](std::int64_t heads, std::int64_t dim) { values += 2 * heads * dim; });
  return values;
}
/// Bytes of them in a cache of that type: what a page of a Session takes, divided by its tokens.
inline std::int64_t cache_bytes_per_token(const ModelConfig& c, KvType type) {
  if (c.attention == AttentionKind::mla)
    return c.attention_layer_count() *
               (kv_bytes(type, c.kv_lora_rank) + kv_bytes(rope_key_type(type), c.qk_rope_head_dim)) +
           detail::indexer_count(c) * kv_bytes(index_key_type(type), c.indexer.head_dim);
  std::int64_t bytes = 0;
  detail::for_each_cache_layer(c,
                               [&](std::int64_t heads, std::int64_t dim) { bytes += 2 * heads * kv_bytes(type, dim); });
  return bytes;
}

/// Bytes of the recurrent states of one sequence at one position, whatever its length; 0 without recurrent layers.
inline std::int64_t recurrent_state_bytes(const ModelConfig& c) { return detail::StateLayout(c).bytes(); }

}  // namespace moe::inline MOE_ABI

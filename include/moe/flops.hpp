#pragma once
// The single definition of FLOPs: 2 per multiply-add of a matmul.

#include <cstdint>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Exact work, in FLOPs (2 per multiply-add), split by kind. Norms, softmax and activations are not in it.
struct Work {
  std::int64_t attention_projection = 0;  ///< q, k, v, o, and MLA's down and up projections
  std::int64_t attention_score = 0;       ///< q.k over the visible keys
  std::int64_t attention_value = 0;       ///< p.v over the visible keys
  std::int64_t router = 0;
  std::int64_t routed_experts = 0;
  std::int64_t shared_experts = 0;
  std::int64_t dense_ffn = 0;
  std::int64_t head = 0;
  std::int64_t tokens = 0;       ///< tokens run through the layers
  std::int64_t head_tokens = 0;  ///< positions whose logits were computed

  std::int64_t total() const {
    return attention_projection + attention_score + attention_value + router + routed_experts + shared_experts +
           dense_ffn + head;
  }
  Work& operator+=(const Work& o) {
    attention_projection += o.attention_projection;
    attention_score += o.attention_score;
    attention_value += o.attention_value;
    router += o.router;
    routed_experts += o.routed_experts;
    shared_experts += o.shared_experts;
    dense_ffn += o.dense_ffn;
    head += o.head;
    tokens += o.tokens;
    head_tokens += o.head_tokens;
    return *this;
  }
  friend bool operator==(const Work&, const Work&) = default;
};

/// Expanded is the textbook form of MLA (keys and values per head); absorbed is what libmoe runs (docs/NUMERICS.md).
enum class MlaForm { expanded, absorbed };

/// Work of running `new_tokens` tokens after `cached_tokens` that are in the cache, logits at `logit_rows` positions.
/// Token i sees cached_tokens + i + 1 keys.
inline Work forward_work(const ModelConfig& c, std::int64_t cached_tokens, std::int64_t new_tokens,
                         std::int64_t logit_rows, MlaForm form) {
  Work w;
  const std::int64_t n = new_tokens;
  // Sum over the new tokens of the keys they see.
  const std::int64_t visible = n * cached_tokens + n * (n + 1) / 2;
  const std::int64_t D = c.hidden_size, H = c.head_count;
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    if (c.attention == AttentionKind::gqa) {
      const std::int64_t q = H * c.head_dim, kv = c.kv_head_count * c.head_dim;
      w.attention_projection += 2 * n * D * (q + 2 * kv) + 2 * n * q * D;
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
      const std::int64_t qk = form == MlaForm::expanded ? nope + rope : r + rope;
      const std::int64_t vd = form == MlaForm::expanded ? v : r;
      w.attention_score += 2 * visible * H * qk;
      w.attention_value += 2 * visible * H * vd;
    }
    if (c.layer_is_moe(layer)) {
      w.router += 2 * n * D * c.router.expert_count;
      w.routed_experts += 2 * n * c.router.top_k * 3 * D * c.moe_intermediate_size;
      w.shared_experts += 2 * n * 3 * D * c.moe_intermediate_size * c.shared_expert_count;
    } else {
      w.dense_ffn += 2 * n * 3 * D * c.intermediate_size;
    }
  }
  w.head = 2 * logit_rows * D * c.vocab_size;
  w.tokens = n;
  w.head_tokens = logit_rows;
  return w;
}

}  // namespace moe::inline MOE_ABI

// The projections, biases and norms of attention: grouped queries and latent attention.
#include "kernels/packing.hpp"
#include "model/planner.hpp"

namespace moe::inline MOE_ABI {

void Planner::gqa(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, hd = c_.head_dim_of(l), q = c_.head_count * hd, kv = c_.kv_heads_of(l) * hd;
  const std::int64_t queries = c_.attention_gate ? 2 * q : q;  // and gates, by head
  // GGUF files may hold either form, those of Phi-3 and its directories hold the fused one.
  const bool always = !arch::tensor_name(recognised_, Kind::hf, Role::qkv).empty();
  if (always || (file_.kind() == Kind::gguf && find(Role::qkv, l) != nullptr)) {
    if (const TensorInfo* all = require(Role::qkv, {queries + 2 * kv, D}, l)) {
      rows_of(all, 0, queries, D, w.q);
      rows_of(all, queries, kv, D, w.k);
      rows_of(all, queries + kv, kv, D, w.v);
    }
  } else {
    matrix(Role::q, queries, D, w.q, l);
    if (c_.has_keys(l)) matrix(Role::k, kv, D, w.k, l);
    if (c_.has_value_projection(l)) matrix(Role::v, kv, D, w.v, l);
  }
  matrix(Role::o, D, q, w.o, l);
  if (c_.qkv_bias) qkv_bias(l, w);
  if (c_.o_bias) vector(Role::o_bias, D, w.o_bias, l);
  if (c_.attention_sinks) vector(Role::sinks, c_.head_count, w.sinks, l);
  if (c_.qk_norm != QkNorm::none) {
    const bool whole = c_.qk_norm == QkNorm::projection;
    norm(Role::q_norm, whole ? q : hd, w.q_norm, l);
    if (c_.has_keys(l)) norm(Role::k_norm, whole ? kv : hd, w.k_norm, l);
  }
}

// The fused form may also have them in one vector.
void Planner::qkv_bias(std::int64_t l, LayerWeights& w) {
  const std::int64_t q = c_.head_count * c_.head_dim, kv = c_.kv_head_count * c_.head_dim;
  if (file_.kind() == Kind::gguf && find(Role::qkv_bias, l) != nullptr) {
    const TensorInfo* all = require(Role::qkv_bias, {q + 2 * kv}, l);
    if (all == nullptr || !one_value_blocks(*all)) return;
    plan_.vectors.push_back({all, &w.q_bias, q});
    plan_.vectors.push_back({all, &w.k_bias, kv, q});
    plan_.vectors.push_back({all, &w.v_bias, kv, q + kv});
    return;
  }
  vector(Role::q_bias, q, w.q_bias, l);
  vector(Role::k_bias, kv, w.k_bias, l);
  vector(Role::v_bias, kv, w.v_bias, l);
}

void Planner::mla(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, H = c_.head_count, qk = c_.qk_nope_head_dim + c_.qk_rope_head_dim;
  if (c_.q_lora_rank > 0) {
    matrix(Role::q_a, c_.q_lora_rank, D, w.q_a, l);
    vector(Role::q_a_norm, c_.q_lora_rank, w.q_a_norm, l);
    matrix(Role::q_b, H * qk, c_.q_lora_rank, w.q_b, l);
  } else {
    matrix(Role::q, H * qk, D, w.q, l);
  }
  matrix(Role::kv_a, c_.kv_lora_rank + c_.qk_rope_head_dim, D, w.kv_a, l);
  vector(Role::kv_a_norm, c_.kv_lora_rank, w.kv_a_norm, l);
  mla_heads(l, w);
  matrix(Role::o, D, H * c_.v_head_dim, w.o, l);
  if (!c_.has_indexer(l)) return;
  const std::int64_t heads = c_.indexer.head_count, dim = c_.indexer.head_dim;
  matrix(Role::index_q, heads * dim, c_.q_lora_rank, w.indexer.q, l);
  matrix(Role::index_k, dim, D, w.indexer.k, l);
  matrix(Role::index_weights, heads, D, w.indexer.weights, l);
  vector(Role::index_k_norm, dim, w.indexer.k_norm, l);
  vector(Role::index_k_norm_bias, dim, w.indexer.k_norm_bias, l);
}

// The absorbed form needs, per head, K's part transposed (queries into the latent space) and V's part unchanged. New
// GGUF files have them in this form; Hugging Face and older GGUF files hold both in kv_b, row blocks [nope; v] per
// head.
void Planner::mla_heads(std::int64_t l, LayerWeights& w) {
  const std::int64_t H = c_.head_count, nope = c_.qk_nope_head_dim, v = c_.v_head_dim, lora = c_.kv_lora_rank;
  w.k_b.resize(static_cast<std::size_t>(H));
  w.v_b.resize(static_cast<std::size_t>(H));
  if (file_.kind() == Kind::gguf && (find(Role::k_b, l) != nullptr || find(Role::kv_b, l) == nullptr)) {
    const TensorInfo* k_b = require(Role::k_b, {H, lora, nope}, l);
    const TensorInfo* v_b = require(Role::v_b, {H, v, lora}, l);
    if (k_b == nullptr || v_b == nullptr) return;
    for (std::int64_t h = 0; h < H; ++h) {
      rows_of(k_b, h * lora, lora, nope, w.k_b[static_cast<std::size_t>(h)]);
      rows_of(v_b, h * v, v, lora, w.v_b[static_cast<std::size_t>(h)]);
    }
    return;
  }
  const TensorInfo* kv_b = require(Role::kv_b, {H * (nope + v), lora}, l);
  if (kv_b == nullptr) return;
  for (std::int64_t h = 0; h < H; ++h) {
    Matrix& k_b = w.k_b[static_cast<std::size_t>(h)];
    k_b.format = format_info(kv_b->format).block_values == 1 ? kv_b->format : Format::f32;
    k_b.rows = lora;
    k_b.k = nope;
    k_b.panel_bytes = kernels::panel_bytes(k_b.format, nope);
    MatrixJob job;
    job.tensor = kv_b;
    job.first_row = h * (nope + v);
    job.out = &k_b;
    job.transposed = true;
    add(job);
    rows_of(kv_b, h * (nope + v) + nope, v, lora, w.v_b[static_cast<std::size_t>(h)]);
  }
}

}  // namespace moe::inline MOE_ABI

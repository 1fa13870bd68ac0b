#pragma once
// Every buffer of a forward pass over one chunk of tokens, allocated once per Session.

#include <cstdint>

#include "model/engine.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Rows of attention, tokens times heads, of one MLA task.
inline constexpr std::int64_t kMlaTaskRows = 128;

/// C = tokens per chunk, W = workers. Shapes are the largest that any layer needs.
struct Workspace {
  AlignedBuffer<float> hidden;                    // [C, D]  residual stream
  AlignedBuffer<float> normed;                    // [C, D]
  AlignedBuffer<float> cos, sin;                  // [C, rotated pairs]
  AlignedBuffer<float> sliding_cos, sliding_sin;  // the same for sliding layers, if different
  AlignedBuffer<float> q, k, v;                   // outputs of the projections
  AlignedBuffer<float> q_a;                       // [C, q_lora_rank]  mla
  AlignedBuffer<float> q_rows;  // attention's queries, rows of one kv head together; mla: [W, kMlaTaskRows, latent]
  AlignedBuffer<float> o_rows;  // attention's results in the same order
  AlignedBuffer<float> o_in;    // [C, H * v_head_dim]
  AlignedBuffer<float> router;  // [C, E]  logits, then scores
  AlignedBuffer<float> shared_gate;  // [C]  logits, then weights of the shared experts
  AlignedBuffer<float> act_dense;    // [C, intermediate or shared width]
  AlignedBuffer<float> act_routed;   // [C * K, F]
  // q8_q_parts [W, kMlaTaskRows, qk_nope_head_dim] and q8_o_parts [W, kMlaTaskRows, kv_lora_rank]: mla
  Q8Buffer q8_normed, q8_q_a, q8_q_parts, q8_o_parts, q8_o_in, q8_dense, q8_routed;
  AlignedBuffer<std::int64_t> positions;        // last visible position of every attention row
  AlignedBuffer<std::int64_t> first_positions;  // the same: first visible position, in layers with a window
  AlignedBuffer<float> sinks;                   // [C * H]  of every attention row
  AlignedBuffer<std::int32_t> expert_ids;       // [C, K] best first; K: the most of any layer
  AlignedBuffer<float> expert_weights;          // [C, K]
  AlignedBuffer<std::int32_t> expert_counts;    // [C]  how many of them the token goes to
  AlignedBuffer<std::int32_t> pair_token;       // [C * K]  token of every (token, expert) pair, sorted by expert
  AlignedBuffer<std::int32_t> pair_of;          // [C, K]  where a token's r-th expert stands in that order
  AlignedBuffer<std::byte> down_tiles;          // inputs of the down projections as tiles, one range per run
  AlignedBuffer<float> logits;                  // grows with the rows asked for

  /// Errors: out_of_memory.
  Result<void> allocate(const ModelConfig& config, std::int64_t chunk_tokens, std::int64_t workers);
  /// Bytes of allocate().
  static std::int64_t bytes(const ModelConfig& config, std::int64_t chunk_tokens, std::int64_t workers);
};

/// Columns of the hidden state that one task of the down projection owns, and the floats its tile needs.
struct TileSizes {
  static constexpr std::int64_t kTokenTile = kTokenRange;  // rows of gate and up computed at a time
  static constexpr std::int64_t kMaxSegment = 256;         // their columns
  std::int64_t down_panels = 4;                            // panels of 16 columns per down task
  std::int64_t floats = 0;
  std::int64_t q8_bytes = 0;  // at most, of the activations that a task keeps as tiles
  TileSizes(const ModelConfig& config, std::int64_t chunk_tokens);
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Every buffer of a forward pass over one chunk of tokens, allocated once per Session.

#include <cstdint>

#include "model/engine.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Rows of attention, tokens times heads, of one MLA task.
inline constexpr std::int64_t kMlaTaskRows = 128;

/// Tokens whose scores of keys are held at a time (DSA).
inline constexpr std::int64_t kIndexRows = 16;

/// What sizes of buffers depend on besides the model.
struct StepShape {
  std::int64_t chunk_tokens = 0, workers = 1;
  bool streams_experts = false;   ///< they are read when needed
  std::int64_t cache_tokens = 0;  ///< of all sequences; 0: as many as the model's context

  /// Keys that a token may see, as whole blocks.
  std::int64_t most_keys(const ModelConfig& config) const {
    const std::int64_t most = cache_tokens > 0 ? std::min(cache_tokens, config.max_position) : config.max_position;
    return (most + kernels::kKeyBlock - 1) / kernels::kKeyBlock * kernels::kKeyBlock;
  }

  /// Experts in memory are all computed at once; others a few at a time, and any one may have all tokens.
  std::int64_t routed_rows(const ModelConfig& config) const {
    const std::int64_t pairs = chunk_tokens * config.router.top_k;
    return streams_experts ? std::min(pairs, chunk_tokens + 1024) : pairs;
  }
};

inline StepShape step_shape(const SessionOptions& options, bool streams_experts) {
  return {options.chunk_tokens, options.threads.worker_count, streams_experts, options.max_tokens};
}

/// C = tokens per chunk, W = workers. Shapes are the largest that any layer needs.
struct Workspace {
  AlignedBuffer<float> hidden;                    // [C, D]  residual stream
  AlignedBuffer<float> normed;                    // [C, D]
  AlignedBuffer<float> cos, sin;                  // [C, rotated pairs]
  AlignedBuffer<float> sliding_cos, sliding_sin;  // the same for sliding layers, if different
  AlignedBuffer<float> q, k, v;                   // outputs of the projections
  AlignedBuffer<float> q_a;                       // [C, q_lora_rank]  mla
  // the indexer: projections, scores of a few tokens, and what was chosen for the layer and those that share it
  AlignedBuffer<float> index_q, index_k, index_weights;  // [C, heads * head_dim], [C, head_dim], [C, heads]
  AlignedBuffer<float> index_scores, index_sorted;       // [kIndexRows, index_columns], [W, index_columns]
  AlignedBuffer<std::int32_t> chosen;                    // [C, top_k]  positions, of tokens that see more keys
  std::int64_t index_columns = 0;
  AlignedBuffer<float> q_rows;  // attention's queries, rows of one kv head together; mla: [W, kMlaTaskRows, latent]
  AlignedBuffer<float> o_rows;  // attention's results in the same order
  AlignedBuffer<float> o_in;    // [C, H * v_head_dim], or what a recurrent layer gives
  // recurrent layers
  AlignedBuffer<float> mixed;         // [C, width of the projections]
  AlignedBuffer<float> convolved;     // [C, channels]
  AlignedBuffer<float> gates;         // [C, 2 * heads]  decays, then steps
  Q8Buffer q8_mixed;                  // inputs of their output projection
  Q8Buffer q8_full_o_in;              // of full layers, where their heads differ
  AlignedBuffer<float> dense_branch;  // [C, D]  the dense FFN's result beside experts
  // further inputs of layers
  AlignedBuffer<float> layer_inputs;  // [C, layers, n]
  AlignedBuffer<float> layer_rows;    // [W, layers, n]  of the table
  AlignedBuffer<float> layer_gate;    // [C, n]
  Q8Buffer q8_layer_gate;
  AlignedBuffer<float> router;       // [C, E]  logits, then scores
  AlignedBuffer<float> shared_gate;  // [C]  logits, then weights of the shared experts
  AlignedBuffer<float> act_dense;    // [C, intermediate or shared width]
  AlignedBuffer<float> act_routed;   // [routed rows, F]
  AlignedBuffer<float> expert_out;   // [C * K, D]  results of experts that are read when needed
  AlignedBuffer<float> mtp_in;       // [C, 2 D]  of an MTP layer: norms of embedding and state
  // q8_q_parts [W, kMlaTaskRows, qk_nope_head_dim] and q8_o_parts [W, kMlaTaskRows, kv_lora_rank]: mla
  Q8Buffer q8_normed, q8_q_a, q8_q_parts, q8_o_parts, q8_o_in, q8_dense, q8_routed, q8_mtp_in;
  AlignedBuffer<std::int64_t> positions;        // last visible position of every attention row
  AlignedBuffer<std::int64_t> first_positions;  // the same: first visible position, in layers with a window
  AlignedBuffer<float> sinks;                   // [C * H]  of every attention row
  AlignedBuffer<std::int32_t> expert_ids;       // [C, K] best first; K: the most of any layer
  AlignedBuffer<float> expert_weights;          // [C, K]
  AlignedBuffer<std::int32_t> expert_counts;    // [C]  how many of them the token goes to
  AlignedBuffer<std::int32_t> pair_token;       // [C * K]  token of every (token, expert) pair, sorted by expert
  AlignedBuffer<std::int32_t> pair_of;          // [C, K]  where a token's r-th expert stands in that order
  AlignedBuffer<std::byte> down_tiles;          // inputs of the down projections as tiles, one range per run
  std::int64_t routed_rows = 0;                 // pairs of which gate and up are held at a time

  /// Errors: out_of_memory.
  Result<void> allocate(const ModelConfig& config, const StepShape& shape);
  /// Bytes of allocate().
  static std::int64_t bytes(const ModelConfig& config, const StepShape& shape);
};

/// Columns of the hidden state that one task of the down projection owns, and the floats its tile needs.
struct TileSizes {
  static constexpr std::int64_t kTokenTile = kTokenRange;  // rows of gate and up computed at a time
  static constexpr std::int64_t kMaxSegment = 256;         // their columns
  std::int64_t down_panels = 4;                            // panels of 16 columns per down task
  std::int64_t floats = 0;
  std::int64_t q8_bytes = 0;  // at most, of the activations that a task keeps as tiles
  TileSizes(const ModelConfig& config, const StepShape& shape);
};

/// Of a session: the workspace and what every worker has of its own.
std::int64_t scratch_bytes(const ModelConfig& config, const StepShape& shape);

}  // namespace moe::inline MOE_ABI

#pragma once
// Weights in memory: packed panels (kernels/packing.hpp) and float vectors. The file's bytes are not kept.

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/table.hpp"
#include "moe/config.hpp"
#include "moe/tensor.hpp"

namespace moe::inline MOE_ABI {

/// A packed matrix [rows, k]; y = W x.
struct Matrix {
  Format format = Format::f32;
  std::int64_t rows = 0;
  std::int64_t k = 0;
  std::int64_t panel_bytes = 0;
  std::byte* data = nullptr;                // in Weights::memory or Weights::mapping
  kernels::Groups groups = {};              // of scaled formats
  std::vector<std::int32_t> column_groups;  // of each column, where they are not blocks in order

  std::int64_t panel_count() const { return (rows + kernels::kPanelRows - 1) / kernels::kPanelRows; }
  std::int64_t bytes() const { return panel_count() * panel_bytes; }
  bool empty() const { return rows == 0; }
  kernels::Panels panels() const {
    kernels::Panels p = {data, panel_bytes, rows, k, groups};
    if (!column_groups.empty()) p.groups.of_column = column_groups.data();
    return p;
  }
};

/// One FFN: down(act(gate x, up x)), with biases in some models; without a gate down(act(up x)).
struct FfnWeights {
  Matrix gate, up, down;
  std::vector<float> gate_bias, up_bias, down_bias;
};

/// Layers with a state. Rows of the projections: recurrent_rows.hpp.
struct RecurrentWeights {
  Matrix in;                      // short_conv: [B | C | x]; mamba2: [z | x | B | C | dt]; delta_net: [q | k | v]
  Matrix in_z, in_b, in_a;        // delta_net
  std::vector<float> conv;        // [conv_kernel, channels], oldest token first
  std::vector<float> conv_bias;   // [channels], where the model has it
  std::vector<float> dt_bias;     // [heads]
  std::vector<float> decay_rate;  // [heads]  -exp(A_log)
  std::vector<float> skip;        // [heads]  mamba2's D
  std::vector<float> norm;        // delta_net: [value_dim]; mamba2: [values]
};

/// The lightning indexer of a layer that chooses keys (DSA).
struct IndexerWeights {
  Matrix q;                                // [heads * head_dim, q_lora_rank]
  Matrix k;                                // [head_dim, D]
  Matrix weights;                          // [heads, D]  of the heads' scores
  std::vector<float> k_norm, k_norm_bias;  // [head_dim]
};

struct LayerWeights {
  std::vector<float> attention_norm, ffn_norm;            // [D]
  std::vector<float> post_attention_norm, post_ffn_norm;  // [D], where the model has them
  // gqa
  Matrix q, k, v;
  std::vector<float> q_bias, k_bias, v_bias;
  std::vector<float> sinks;           // [H]
  std::vector<float> q_norm, k_norm;  // [head_dim], or one weight for all heads: [q.rows], [k.rows]
  // mla: queries through q, or q_a -> norm -> q_b
  Matrix q_a, q_b, kv_a;
  std::vector<float> q_a_norm, kv_a_norm;
  std::vector<Matrix> k_b;  // [H] of [kv_lora_rank, qk_nope_head_dim]: queries into the latent space
  std::vector<Matrix> v_b;  // [H] of [v_head_dim, kv_lora_rank]: latent averages back to values
  IndexerWeights indexer;
  RecurrentWeights recurrent;
  Matrix o;  // of every mixer
  std::vector<float> o_bias;
  // dense layers use `ffn`; MoE layers the rest
  FfnWeights ffn;
  Matrix router;                         // [E, D]
  std::vector<float> router_bias;        // [E]  selection only
  std::vector<float> router_logit_bias;  // [E]  part of the logits
  std::vector<FfnWeights> experts;       // [E]
  FfnWeights shared;
  Matrix shared_gate;  // [1, D]: weight of the shared experts' output
  // where a dense FFN stands beside the experts: norms of the router's and the experts' input, and of both results
  std::vector<float> router_norm, expert_norm, post_dense_norm, post_expert_norm;  // [D]
  std::vector<float> expert_scale;                                                 // [E]
  // further inputs of layers
  Matrix layer_input_gate, layer_input_up;   // [n, D], [D, n]
  std::vector<float> post_layer_input_norm;  // [D]
  std::vector<float> layer_scalar;           // [1]
};

struct Weights {
  AlignedBuffer<std::byte> memory;      // of all matrices
  std::shared_ptr<const void> mapping;  // or this, of a packed file; of an MTP layer: what owns matrices of the model
  std::int64_t mapped_bytes = 0;
  Matrix embedding;  // [V, D]
  Matrix head;       // empty when tied
  std::vector<float> final_norm;
  Matrix layer_embedding;               // [V, layers * n]  further inputs of layers, by token
  Matrix layer_input;                   // [layers * n, D]  and from the embedding
  std::vector<float> layer_input_norm;  // [n]
  std::vector<LayerWeights> layers;
  // of an MTP layer: its input is eh_proj [enorm(embedding); hnorm(state)]
  Matrix eh_proj;                   // [D, 2 D]
  std::vector<float> enorm, hnorm;  // [D]

  const Matrix& head_matrix() const { return head.empty() ? embedding : head; }
};

}  // namespace moe::inline MOE_ABI

#pragma once
// All matrices of a model in one order, each with a name of its own.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/weights.hpp"

namespace moe::inline MOE_ABI::pack {

/// Members of Weights, LayerWeights and FfnWeights. The numbers are in files.
enum class MatrixKind : std::uint32_t {
  embedding,
  head,
  q,
  k,
  v,
  q_a,
  q_b,
  kv_a,
  k_b,
  v_b,
  o,
  gate,
  up,
  down,
  router,
  shared_gate,
  shared_up,
  shared_down,
  shared_expert_gate,
  expert_gate,
  expert_up,
  expert_down,
  recurrent_in,
  recurrent_z,
  recurrent_b,
  recurrent_a,
  layer_embedding,
  layer_input,
  layer_input_gate,
  layer_input_up,
  index_q,
  index_k,
  index_weights,
};
std::string_view name_of(MatrixKind kind) noexcept;
/// Of a routed expert.
constexpr bool is_of_expert(MatrixKind kind) noexcept {
  return kind == MatrixKind::expert_gate || kind == MatrixKind::expert_up || kind == MatrixKind::expert_down;
}

struct NamedMatrix {
  std::int32_t layer = -1;  ///< -1: of the model
  MatrixKind kind = MatrixKind::embedding;
  std::int32_t number = -1;  ///< of the head or expert; -1 where there is one
  Matrix* matrix = nullptr;
};

/// "expert_gate of layer 3, number 17".
std::string text_of(const NamedMatrix& matrix);

/// Those that are not empty: first all that every token needs, then the routed experts' by layer and expert.
struct NamedMatrices {
  std::vector<NamedMatrix> resident, experts;
};
NamedMatrices matrices_of(Weights& weights);

}  // namespace moe::inline MOE_ABI::pack

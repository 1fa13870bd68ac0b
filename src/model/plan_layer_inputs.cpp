// Norms of a dense FFN beside experts, the further inputs of layers, and the factor at a layer's end (Gemma 4).
#include <cmath>

#include "model/planner.hpp"

namespace moe::inline MOE_ABI {

// The router's weight includes D^-0.5.
void Planner::beside_experts(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size;
  norm(Role::router_norm, D, w.router_norm, l);
  if (!error_) plan_.vectors.back().factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(D)));
  vector(Role::expert_scale, c_.router.expert_count, w.expert_scale, l);
  norm(Role::expert_norm, D, w.expert_norm, l);
  norm(Role::post_dense_norm, D, w.post_dense_norm, l);
  norm(Role::post_expert_norm, D, w.post_expert_norm, l);
}

void Planner::layer_inputs() {
  const std::int64_t n = c_.layer_input_size, all = c_.layer_count * n;
  if (n == 0) return;
  matrix(Role::layer_embedding, c_.layer_input_vocab_size, all, w_.layer_embedding);
  matrix(Role::layer_input, all, c_.hidden_size, w_.layer_input);
  norm(Role::layer_input_norm, n, w_.layer_input_norm, 0);
}

void Planner::layer_end(std::int64_t l, LayerWeights& w) {
  if (const std::int64_t n = c_.layer_input_size; n > 0) {
    matrix(Role::layer_input_gate, n, c_.hidden_size, w.layer_input_gate, l);
    matrix(Role::layer_input_up, c_.hidden_size, n, w.layer_input_up, l);
    norm(Role::post_layer_input_norm, c_.hidden_size, w.post_layer_input_norm, l);
  }
  if (c_.layer_scalar) vector(Role::layer_scalar, 1, w.layer_scalar, l);
}

// Published files hold projections of keys and values also for layers that use those of another: weights, or the codes
// and scales of one, whose names end otherwise.
bool Planner::is_unused_key(const std::string& name) const {
  for (std::int64_t l = c_.layer_count - c_.kv_shared_layer_count; l < c_.layer_count; ++l)
    for (const Role role : {Role::k, Role::v, Role::k_norm}) {
      const std::string weight = arch::tensor_name(recognised_, file_.kind(), role, l);
      if (name.starts_with(weight.substr(0, weight.rfind('.') + 1))) return true;
    }
  return false;
}

}  // namespace moe::inline MOE_ABI

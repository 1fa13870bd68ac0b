// Layers with a recurrent state: projections, convolution, gates and norm.
#include "model/planner.hpp"

namespace moe::inline MOE_ABI {

void Planner::recurrent(std::int64_t l, LayerWeights& w) {
  switch (c_.mixer(l)) {
    case Mixer::delta_net: delta_net(l, w.recurrent); break;
    case Mixer::mamba2: mamba2(l, w.recurrent); break;
    case Mixer::short_conv: matrix(Role::recurrent_in, 3 * c_.hidden_size, c_.hidden_size, w.recurrent.in, l); break;
    default: return;
  }
  convolution(l, w.recurrent);
  matrix(Role::recurrent_out, c_.hidden_size, c_.recurrent_out_width(l), w.o, l);
}

// The first files of Qwen3-Next have one matrix for q, k, v and z, and one for both gates, rows grouped by key head.
void Planner::delta_net(std::int64_t l, RecurrentWeights& w) {
  const RecurrentConfig& r = c_.recurrent;
  const std::int64_t D = c_.hidden_size, H = r.heads, qkv = 2 * r.keys() + r.values();
  if (holds(Role::recurrent_qkvz, l)) {
    matrix(Role::recurrent_qkvz, qkv + r.values(), D, w.in, l);
  } else {
    matrix(Role::recurrent_in, qkv, D, w.in, l);
    matrix(Role::recurrent_z, r.values(), D, w.in_z, l);
  }
  // A file with neither form lacks the one of its family.
  const bool grouped = c_.family == "qwen3_next" && !holds(Role::recurrent_b, l);
  if (grouped || holds(Role::recurrent_ba, l)) {
    matrix(Role::recurrent_ba, 2 * H, D, w.in_b, l);
  } else {
    matrix(Role::recurrent_b, H, D, w.in_b, l);
    matrix(Role::recurrent_a, H, D, w.in_a, l);
  }
  decay(l, w);
  numbers(Role::recurrent_norm, {{r.value_dim}}, w.norm, l);
}

void Planner::mamba2(std::int64_t l, RecurrentWeights& w) {
  const RecurrentConfig& r = c_.recurrent;
  matrix(Role::recurrent_in, c_.recurrent_in_width(l), c_.hidden_size, w.in, l);
  decay(l, w);
  numbers(Role::recurrent_skip, {{r.heads}, {r.heads, 1}}, w.skip, l);
  numbers(Role::recurrent_norm, {{r.values()}, {r.key_heads, r.values() / r.key_heads}}, w.norm, l);
}

// GGUF files hold -exp(A_log).
void Planner::decay(std::int64_t l, RecurrentWeights& w) {
  const std::int64_t H = c_.recurrent.heads;
  numbers(Role::recurrent_dt_bias, {{H}}, w.dt_bias, l);
  numbers(Role::recurrent_a_log, {{H}, {H, 1}}, w.decay_rate, l);
  if (!error_) plan_.vectors.back().minus_exp = file_.kind() == Kind::hf;
}

void Planner::convolution(std::int64_t l, RecurrentWeights& w) {
  const std::int64_t channels = c_.conv_channels(l), taps = c_.recurrent.conv_kernel;
  numbers(Role::conv, {{channels, 1, taps}, {channels, taps}}, w.conv, l);
  if (!error_) plan_.vectors.back().columns = taps;
  if (c_.recurrent.conv_bias) numbers(Role::conv_bias, {{channels}}, w.conv_bias, l);
}

/// All numbers of a tensor in one of these shapes.
void Planner::numbers(Role role, std::initializer_list<Shape> shapes, std::vector<float>& out, std::int64_t layer) {
  const TensorInfo* found = find(role, layer);
  const Shape* shape = shapes.begin();
  for (const Shape& one : shapes)
    if (found != nullptr && found->shape == one) shape = &one;
  const TensorInfo* tensor = require(role, *shape, layer);
  if (tensor == nullptr || !one_value_blocks(*tensor)) return;
  plan_.vectors.push_back({tensor, &out, tensor->rows() * tensor->cols()});
}

}  // namespace moe::inline MOE_ABI

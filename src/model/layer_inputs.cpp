// What only Gemma 4's layers have: a dense FFN beside the experts, further inputs by token, and a factor at their end.
#include <cmath>

#include "kernels/packing.hpp"
#include "model/expert_run.hpp"
#include "model/forward.hpp"

namespace moe::inline MOE_ABI {

// Every layer's further input: (norm(W h * D^-0.5) + row of the table * n^0.5) * 2^-0.5, with h the scaled embedding.
void Forward::make_layer_inputs() {
  const Weights& w = *model_->weights;
  const std::int64_t D = c_->hidden_size, n = c_->layer_input_size, all = c_->layer_count * n;
  const bool quantise = engine_.wants_q8(w.layer_input);
  if (quantise) quantise_rows(ws_.hidden.data(), D, tokens(), ws_.q8_normed);
  const LinearJob job = {&w.layer_input,
                         {ws_.hidden.data(), D, quantise ? ws_.q8_normed.rows() : kernels::Q8Rows{}},
                         nullptr,
                         tokens(),
                         ws_.layer_inputs.data(),
                         all};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(&job, 1), &Work::dense_ffn);
  engine_.enter(Stage::elementwise);
  const auto projected = static_cast<float>(1.0 / std::sqrt(static_cast<double>(D)));
  const auto looked_up = static_cast<float>(std::sqrt(static_cast<double>(n)));
  const auto half = static_cast<float>(std::sqrt(0.5));
  const auto eps = static_cast<float>(c_->rms_norm_eps);
  engine_.run_each(tokens(), 4 * all, [&](std::int64_t t, std::int32_t worker) {
    float* row = ws_.layer_inputs.data() + t * all;
    float* own = ws_.layer_rows.data() + worker * all;
    kernels::unpack_row(w.layer_embedding.format, w.layer_embedding.panels(), chunk_->ids[static_cast<std::size_t>(t)],
                        own);
    for (std::int64_t i = 0; i < all; ++i) row[i] *= projected;
    for (std::int64_t l = 0; l < c_->layer_count; ++l)
      engine_.table().rms_norm(row + l * n, w.layer_input_norm.data(), eps, n, row + l * n);
    for (std::int64_t i = 0; i < all; ++i) {
      const float scaled = own[i] * looked_up;
      row[i] = (row[i] + scaled) * half;
    }
  });
}

void Forward::end_layer(std::int64_t layer) {
  const LayerWeights& w = model_->weights->layers[static_cast<std::size_t>(layer)];
  if (c_->layer_input_size > 0) add_layer_input(w, layer);
  if (!c_->layer_scalar) return;
  engine_.enter(Stage::elementwise);
  const std::int64_t D = c_->hidden_size;
  const float scalar = w.layer_scalar.front();
  engine_.run_each(tokens(), D, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.hidden.data() + t * D;
    for (std::int64_t i = 0; i < D; ++i) row[i] *= scalar;
  });
}

// h = h + norm(up(activation(gate h) * the layer's input))
void Forward::add_layer_input(const LayerWeights& w, std::int64_t layer) {
  const std::int64_t D = c_->hidden_size, n = c_->layer_input_size, all = c_->layer_count * n, T = tokens();
  const bool quantise = engine_.wants_q8(w.layer_input_gate), quantise_gate = engine_.wants_q8(w.layer_input_up);
  if (quantise) quantise_rows(ws_.hidden.data(), D, T, ws_.q8_normed);
  const LinearJob gate = {&w.layer_input_gate,
                          {ws_.hidden.data(), D, quantise ? ws_.q8_normed.rows() : kernels::Q8Rows{}},
                          nullptr,
                          T,
                          ws_.layer_gate.data(),
                          n};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(&gate, 1), &Work::dense_ffn);
  engine_.enter(Stage::elementwise);
  engine_.run_each(T, 4 * n, [&](std::int64_t t, std::int32_t) {
    float* row = ws_.layer_gate.data() + t * n;
    activate(row, ws_.layer_inputs.data() + t * all + layer * n, n, row);
    if (quantise_gate) ws_.q8_layer_gate.quantise(engine_.table(), t, row);
  });
  const LinearJob up = {
      &w.layer_input_up, {ws_.layer_gate.data(), n, quantise_gate ? ws_.q8_layer_gate.rows() : kernels::Q8Rows{}},
      nullptr,           T,
      ws_.normed.data(), D};
  engine_.enter(Stage::projections);
  engine_.linear(std::span(&up, 1), &Work::dense_ffn);
  add_branch({}, w.post_layer_input_norm);
}

// The dense FFN beside the experts, with its norm. It runs before them, because they use the same buffers.
void Forward::dense_branch(const LayerWeights& w) {
  const bool quantise = reads_q8(w.ffn);
  norm_rows(w.ffn_norm, quantise);
  std::vector<ExpertRun> runs;
  ExpertRun& run = runs.emplace_back(w.ffn, &Work::dense_ffn);
  run.count = tokens(), run.act = &ws_.act_dense, run.q8 = &ws_.q8_dense;
  gate_up(runs, quantise);
  down(w, runs);
  engine_.enter(Stage::elementwise);
  const std::int64_t D = c_->hidden_size;
  engine_.run_each(tokens(), 2 * D, [&](std::int64_t t, std::int32_t) {
    engine_.table().rms_norm(ws_.normed.data() + t * D, w.post_dense_norm.data(), static_cast<float>(c_->rms_norm_eps),
                             D, ws_.dense_branch.data() + t * D);
  });
}

// The branch's sum joins the residual stream; of two branches, each is normalised before they are added.
void Forward::end_feed_forward(const LayerWeights& w) {
  if (!c_->sums_branches()) return;
  if (!w.post_expert_norm.empty()) {
    engine_.enter(Stage::elementwise);
    const std::int64_t D = c_->hidden_size;
    engine_.run_each(tokens(), 2 * D, [&](std::int64_t t, std::int32_t) {
      float* row = ws_.normed.data() + t * D;
      engine_.table().rms_norm(row, w.post_expert_norm.data(), static_cast<float>(c_->rms_norm_eps), D, row);
      engine_.table().add(ws_.dense_branch.data() + t * D, D, row);
    });
  }
  add_branch({}, w.post_ffn_norm);
}

}  // namespace moe::inline MOE_ABI

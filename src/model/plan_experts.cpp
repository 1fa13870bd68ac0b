// Routers, experts in all layouts of files, and dense feed-forward layers.
#include <fmt/format.h>

#include "kernels/packing.hpp"
#include "model/planner.hpp"

namespace moe::inline MOE_ABI {

void Planner::experts(Role role, std::int64_t l, std::int64_t rows, std::int64_t k, Matrix FfnWeights::*member,
                      LayerWeights& w) {
  const std::int64_t E = c_.router.expert_count;
  const bool gguf = file_.kind() == Kind::gguf;
  if (gguf && (find(role, l) != nullptr || file_.find(arch::legacy_expert_name(role, l, 0)) == nullptr)) {
    const TensorInfo* all = require(role, {E, rows, k}, l);
    if (all == nullptr) return;
    for (std::int64_t e = 0; e < E; ++e)
      rows_of(all, e * rows, rows, k, w.experts[static_cast<std::size_t>(e)].*member);
    return;
  }
  if (role == Role::expert_down && !gguf && find(Role::expert_down_rows, l) != nullptr) {
    const TensorInfo* all = require(Role::expert_down_rows, {E, rows, k}, l);
    for (std::int64_t e = 0; e < E && all != nullptr; ++e)
      rows_of(all, e * rows, rows, k, w.experts[static_cast<std::size_t>(e)].*member);
    return;
  }
  for (std::int64_t e = 0; e < E; ++e) {
    const TensorInfo* one =
        gguf ? require_named(arch::legacy_expert_name(role, l, e), {rows, k}) : require(role, {rows, k}, l, e);
    if (one == nullptr) return;
    rows_of(one, 0, rows, k, w.experts[static_cast<std::size_t>(e)].*member);
  }
}

void Planner::moe(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.router.expert_count;
  matrix(Role::router, E, D, w.router, l);
  if (c_.router.selection_bias) row(Role::router_bias, E, w.router_bias, l);
  if (c_.router_bias) vector(Role::router_logit_bias, E, w.router_logit_bias, l);
  w.experts.resize(static_cast<std::size_t>(E));
  const bool hf = file_.kind() == Kind::hf;
  if (hf && has(Role::expert_gate_up) && !family_.hf_expert_rows) {
    stacked_experts(l, w);
  } else {
    // Their scales begin anew for each expert, unlike those of a tall matrix.
    if (hf && has(Role::expert_gate_up) && find(Role::expert_gate_up, l) == nullptr && holds(Role::expert_gate_up, l))
      return refuse(ErrorCode::unsupported,
                    fmt::format("tensor {}: codes of all experts in one tensor are not supported, expected one tensor "
                                "per expert",
                                arch::tensor_name(recognised_, file_.kind(), Role::expert_gate_up, l)));
    if ((!hf || has(Role::expert_gate_up)) && find(Role::expert_gate_up, l) != nullptr) {
      fused_experts(l, w);
    } else {
      if (c_.has_gates()) experts(Role::expert_gate, l, F, D, &FfnWeights::gate, w);
      experts(Role::expert_up, l, F, D, &FfnWeights::up, w);
    }
    experts(Role::expert_down, l, D, F, &FfnWeights::down, w);
  }
  if (c_.expert_bias) expert_biases(l, w);
  if (const std::int64_t shared = c_.shared_width(); shared > 0) {
    gate_and_up(l, Role::shared_gate_up, Role::shared_gate, Role::shared_up, shared, w.shared);
    matrix(Role::shared_down, D, shared, w.shared.down, l);
  }
  if (c_.shared_expert_gate) gate_row(l, w);
  if (c_.dense_beside_experts) beside_experts(l, w);
}

// Per expert the rows of gate, then those of up.
void Planner::fused_experts(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.router.expert_count;
  const TensorInfo* both = require(Role::expert_gate_up, {E, 2 * F, D}, l);
  for (std::int64_t e = 0; e < E && both != nullptr; ++e) {
    rows_of(both, e * 2 * F, F, D, w.experts[static_cast<std::size_t>(e)].gate);
    rows_of(both, e * 2 * F + F, F, D, w.experts[static_cast<std::size_t>(e)].up);
  }
}

// All experts in one tensor [E, in, out]; outputs of gate and up are interleaved.
void Planner::stacked_experts(std::int64_t l, LayerWeights& w) {
  for (std::int64_t e = 0; e < c_.router.expert_count && !error_; ++e) {
    FfnWeights& expert = w.experts[static_cast<std::size_t>(e)];
    stacked(Role::expert_gate_up, l, e, 0, 2, expert.gate);
    stacked(Role::expert_gate_up, l, e, 1, 2, expert.up);
    stacked(Role::expert_down, l, e, 0, 1, expert.down);
  }
}

// Outputs first, first + step, .. of expert e.
void Planner::stacked(Role role, std::int64_t l, std::int64_t e, std::int64_t first, std::int64_t step, Matrix& out) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size;
  const bool down = role == Role::expert_down;
  out.rows = down ? D : F;
  out.k = down ? F : D;
  if (quantization_.method == arch::Quantization::Method::mxfp4)
    return stacked_mxfp4(role, l, e, first, step, out.rows * step, out);
  const TensorInfo* tensor = require(role, {c_.router.expert_count, out.k, out.rows * step}, l);
  if (tensor == nullptr) return;
  out.format = format_info(tensor->format).block_values == 1 ? tensor->format : Format::f32;
  out.panel_bytes = kernels::panel_bytes(out.format, out.k);
  MatrixJob job;
  job.tensor = tensor;
  job.first_row = e * out.k;
  job.out = &out;
  job.transposed = true;
  job.first_column = first;
  job.step = step;
  add(job);
}

// MXFP4 holds the outputs as rows, codes and exponents in two tensors of bytes: GGUF's blocks after rearranging.
void Planner::stacked_mxfp4(Role role, std::int64_t l, std::int64_t e, std::int64_t first, std::int64_t step,
                            std::int64_t rows, Matrix& out) {
  const std::int64_t E = c_.router.expert_count;
  const std::string name = arch::tensor_name(recognised_, file_.kind(), role, l);
  if (out.k % 32 != 0)
    return refuse(ErrorCode::bad_shape,
                  fmt::format("tensor {}_blocks: inputs of {} values, expected a multiple of 32", name, out.k));
  MatrixJob job;
  job.tensor = require_raw(name + "_blocks", "U8", {E, rows, out.k / 32, 16});
  job.scales = require_raw(name + "_scales", "U8", {E, rows, out.k / 32});
  if (job.tensor == nullptr || job.scales == nullptr) return;
  out.format = Format::mxfp4;
  out.panel_bytes = kernels::panel_bytes(out.format, out.k);
  job.first_row = e * rows + first;
  job.step = step;
  job.out = &out;
  job.encoding = Encoding::mxfp4;
  add(job);
  CodedWeight& coded = plan_.coded.emplace_back();
  coded.shown = *job.tensor;
  coded.shown.name = name + (step == 1 ? "" : first == 0 ? ".gate" : ".up");
  coded.shown.format = Format::mxfp4;
  coded.shown.shape = {out.rows, out.k};
  coded.job = job;
}

void Planner::expert_biases(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.router.expert_count;
  const bool fused = has(Role::expert_gate_up_bias);
  const TensorInfo* gate =
      require(fused ? Role::expert_gate_up_bias : Role::expert_gate_bias, {E, fused ? 2 * F : F}, l);
  const TensorInfo* up = fused ? gate : require(Role::expert_up_bias, {E, F}, l);
  const TensorInfo* down = require(Role::expert_down_bias, {E, D}, l);
  if (gate == nullptr || up == nullptr || down == nullptr) return;
  for (const TensorInfo* tensor : {gate, up, down})
    if (!one_value_blocks(*tensor)) return;
  for (std::int64_t e = 0; e < E; ++e) {
    FfnWeights& expert = w.experts[static_cast<std::size_t>(e)];
    plan_.vectors.push_back({gate, &expert.gate_bias, F, fused ? e * 2 * F : e * F, fused ? 2 : 1});
    plan_.vectors.push_back({up, &expert.up_bias, F, fused ? e * 2 * F + 1 : e * F, fused ? 2 : 1});
    plan_.vectors.push_back({down, &expert.down_bias, D, e * D});
  }
}

// Hugging Face files hold it as a matrix of one row, GGUF files as a vector.
void Planner::gate_row(std::int64_t l, LayerWeights& w) {
  const TensorInfo* found = find(Role::shared_expert_gate, l);
  const bool flat = found != nullptr && found->shape.size() == 1;
  const TensorInfo* tensor =
      require(Role::shared_expert_gate, flat ? Shape{c_.hidden_size} : Shape{1, c_.hidden_size}, l);
  if (tensor != nullptr) rows_of(tensor, 0, 1, c_.hidden_size, w.shared_gate);
}

void Planner::dense(std::int64_t l, FfnWeights& w) {
  const std::int64_t F = c_.dense_width(l);
  gate_and_up(l, Role::gate_up, Role::gate, Role::up, F, w);
  matrix(Role::down, c_.hidden_size, F, w.down, l);
}

// Of an FFN of width F; families may have both in one tensor, rows of gate first, or no gate.
void Planner::gate_and_up(std::int64_t l, Role both_of, Role gate, Role up, std::int64_t F, FfnWeights& w) {
  const std::int64_t D = c_.hidden_size;
  if (!arch::tensor_name(recognised_, file_.kind(), both_of, l).empty()) {
    const TensorInfo* both = require(both_of, {2 * F, D}, l);
    if (both == nullptr) return;
    rows_of(both, 0, F, D, w.gate);
    rows_of(both, F, F, D, w.up);
    return;
  }
  if (c_.has_gates()) matrix(gate, F, D, w.gate, l);
  matrix(up, F, D, w.up, l);
}

}  // namespace moe::inline MOE_ABI

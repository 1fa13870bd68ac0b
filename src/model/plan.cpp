#include "model/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_map>
#include <unordered_set>

#include "arch/family.hpp"
#include "kernels/packing.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI {
namespace {

using arch::Role;
using checkpoint::Kind;
using checkpoint::TensorInfo;

class Planner {
 public:
  Planner(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights)
      : file_(file),
        recognised_(recognised),
        family_(*recognised.family),
        c_(recognised.config),
        quantization_(recognised.quantization),
        w_(weights) {
    for (const checkpoint::UnsupportedTensor& tensor : file.unsupported()) unsupported_[tensor.name] = &tensor;
  }

  Result<LoadPlan> run();

 private:
  using Shape = std::vector<std::int64_t>;

  const TensorInfo* find(Role role, std::int64_t layer = 0, std::int64_t expert = 0);
  const TensorInfo* require(Role role, const Shape& shape, std::int64_t layer = 0, std::int64_t expert = 0);
  const TensorInfo* require_named(const std::string& name, const Shape& shape);
  bool one_value_blocks(const TensorInfo& tensor);
  void matrix(Role role, std::int64_t rows, std::int64_t k, Matrix& out, std::int64_t layer = 0);
  void add(MatrixJob job);
  void rows_of(const TensorInfo* tensor, std::int64_t first_row, std::int64_t rows, std::int64_t k, Matrix& out);
  void vector(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void row(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void layer(std::int64_t l);
  void gqa(std::int64_t l, LayerWeights& w);
  void qkv_bias(std::int64_t l, LayerWeights& w);
  void mla(std::int64_t l, LayerWeights& w);
  void mla_heads(std::int64_t l, LayerWeights& w);
  void moe(std::int64_t l, LayerWeights& w);
  void gate_row(std::int64_t l, LayerWeights& w);
  void dense(std::int64_t l, FfnWeights& w);
  void experts(Role role, std::int64_t l, std::int64_t rows, std::int64_t k, Matrix FfnWeights::*member,
               LayerWeights& w);
  void norm(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void fused_experts(std::int64_t l, LayerWeights& w);
  void stacked_experts(std::int64_t l, LayerWeights& w);
  void stacked(Role role, std::int64_t l, std::int64_t e, std::int64_t first, std::int64_t step, Matrix& out);
  void stacked_mxfp4(Role role, std::int64_t l, std::int64_t e, std::int64_t first, std::int64_t step,
                     std::int64_t rows, Matrix& out);
  void expert_biases(std::int64_t l, LayerWeights& w);
  bool has(Role role) const { return !arch::tensor_name(recognised_, file_.kind(), role).empty(); }
  const checkpoint::UnsupportedTensor* find_raw(const std::string& name, std::string_view type) const;
  const TensorInfo* require_raw(const std::string& name, std::string_view type, const Shape& shape);
  bool is_mtp(const std::string& in_file) const;
  bool is_tower(const TensorInfo& tensor, std::string_view name);
  bool is_rope_factors(const TensorInfo& tensor);
  void account();
  void refuse(ErrorCode code, std::string message) {
    if (!error_) error_ = Error{code, std::move(message)};
  }

  const checkpoint::Checkpoint& file_;
  const arch::Recognised& recognised_;
  const arch::Family& family_;
  const ModelConfig& c_;
  const arch::Quantization& quantization_;
  Weights& w_;
  LoadPlan plan_;
  std::unordered_set<const TensorInfo*> used_;
  std::unordered_set<const TensorInfo*> raw_, scales_;  // of file_.unsupported(), and FP8's scales
  std::unordered_map<std::string_view, const checkpoint::UnsupportedTensor*> unsupported_;
  std::optional<Error> error_;
};

const TensorInfo* Planner::find(Role role, std::int64_t layer, std::int64_t expert) {
  return file_.find(arch::tensor_name(recognised_, file_.kind(), role, layer, expert));
}

const TensorInfo* Planner::require(Role role, const Shape& shape, std::int64_t layer, std::int64_t expert) {
  return require_named(arch::tensor_name(recognised_, file_.kind(), role, layer, expert), shape);
}

bool Planner::one_value_blocks(const TensorInfo& tensor) {
  if (format_info(tensor.format).block_values == 1) return true;
  refuse(ErrorCode::unsupported,
         fmt::format("tensor {} is of type {}, expected a float type", tensor.name, name_of(tensor.format)));
  return false;
}

const TensorInfo* Planner::require_named(const std::string& name, const Shape& shape) {
  if (error_) return nullptr;
  const TensorInfo* tensor = name.empty() ? nullptr : file_.find(name);
  if (tensor == nullptr && quantization_.method == arch::Quantization::Method::fp8 &&
      find_raw(name, "F8_E4M3") != nullptr)
    return require_raw(name, "F8_E4M3", shape);
  if (tensor == nullptr) {
    if (const auto other = unsupported_.find(name); other != unsupported_.end())
      refuse(ErrorCode::unsupported,
             fmt::format("tensor {} is of type {}, which libmoe does not read", name, other->second->type));
    refuse(ErrorCode::not_found,
           fmt::format("tensor {} is missing, expected shape [{}]", name, fmt::join(shape, ", ")));
    return nullptr;
  }
  if (tensor->shape != shape) {
    refuse(ErrorCode::bad_shape, fmt::format("tensor {} has shape [{}], expected [{}]", name,
                                             fmt::join(tensor->shape, ", "), fmt::join(shape, ", ")));
    return nullptr;
  }
  used_.insert(tensor);
  return tensor;
}

void Planner::rows_of(const TensorInfo* tensor, std::int64_t first_row, std::int64_t rows, std::int64_t k,
                      Matrix& out) {
  out.format = tensor->format;
  out.rows = rows;
  out.k = k;
  out.panel_bytes = kernels::panel_bytes(tensor->format, k);
  MatrixJob job;
  job.tensor = tensor;
  job.first_row = first_row;
  job.out = &out;
  add(job);
}

// A tensor of FP8 brings its scales along.
void Planner::add(MatrixJob job) {
  if (raw_.count(job.tensor) != 0 && job.encoding == Encoding::format) {
    job.encoding = Encoding::fp8;
    job.block_rows = quantization_.block_rows;
    job.block_columns = quantization_.block_columns;
    const auto blocks = [](std::int64_t n, std::int64_t block) { return (n + block - 1) / block; };
    const Shape shape = {blocks(job.tensor->rows(), job.block_rows), blocks(job.tensor->cols(), job.block_columns)};
    const std::string name = job.tensor->name + "_scale_inv";
    job.scales = file_.find(name);
    if (job.scales == nullptr)
      refuse(ErrorCode::not_found,
             fmt::format("tensor {} is missing, expected shape [{}]", name, fmt::join(shape, ", ")));
    else if (job.scales->shape != shape || job.scales->format != Format::f32)
      refuse(ErrorCode::bad_shape,
             fmt::format("tensor {} has shape [{}] of {}, expected [{}] of f32", name,
                         fmt::join(job.scales->shape, ", "), name_of(job.scales->format), fmt::join(shape, ", ")));
    else
      scales_.insert(job.scales);
  }
  if (!error_) plan_.matrices.push_back(job);
}

const checkpoint::UnsupportedTensor* Planner::find_raw(const std::string& name, std::string_view type) const {
  const auto found = unsupported_.find(name);
  return found == unsupported_.end() || found->second->type != type ? nullptr : found->second;
}

const TensorInfo* Planner::require_raw(const std::string& name, std::string_view type, const Shape& shape) {
  if (error_) return nullptr;
  const checkpoint::UnsupportedTensor* tensor = find_raw(name, type);
  if (tensor == nullptr) {
    refuse(ErrorCode::not_found,
           fmt::format("tensor {} is missing, expected {} of shape [{}]", name, type, fmt::join(shape, ", ")));
    return nullptr;
  }
  if (tensor->where.shape != shape) {
    refuse(ErrorCode::bad_shape, fmt::format("tensor {} has shape [{}], expected [{}]", name,
                                             fmt::join(tensor->where.shape, ", "), fmt::join(shape, ", ")));
    return nullptr;
  }
  raw_.insert(&tensor->where);
  return &tensor->where;
}

void Planner::matrix(Role role, std::int64_t rows, std::int64_t k, Matrix& out, std::int64_t layer) {
  if (const TensorInfo* tensor = require(role, {rows, k}, layer)) rows_of(tensor, 0, rows, k, out);
}

void Planner::vector(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer) {
  if (const TensorInfo* tensor = require(role, {count}, layer)) plan_.vectors.push_back({tensor, &out, count});
}

void Planner::norm(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer) {
  vector(role, count, out, layer);
  if (!error_ && family_.hf_norms_minus_one && file_.kind() == Kind::hf) plan_.vectors.back().added = 1.0f;
}

// ERNIE's selection bias has a leading dimension of 1.
void Planner::row(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer) {
  const TensorInfo* found = find(role, layer);
  const bool flat = found == nullptr || found->shape.size() != 2;
  if (const TensorInfo* tensor = require(role, flat ? Shape{count} : Shape{1, count}, layer))
    plan_.vectors.push_back({tensor, &out, count});
}

void Planner::gqa(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, q = c_.head_count * c_.head_dim, kv = c_.kv_head_count * c_.head_dim;
  // GGUF files may hold either form, those of Phi-3 and its directories hold the fused one.
  const bool always = !arch::tensor_name(recognised_, Kind::hf, Role::qkv).empty();
  if (always || (file_.kind() == Kind::gguf && find(Role::qkv, l) != nullptr)) {
    if (const TensorInfo* all = require(Role::qkv, {q + 2 * kv, D}, l)) {
      rows_of(all, 0, q, D, w.q);
      rows_of(all, q, kv, D, w.k);
      rows_of(all, q + kv, kv, D, w.v);
    }
  } else {
    matrix(Role::q, q, D, w.q, l);
    matrix(Role::k, kv, D, w.k, l);
    matrix(Role::v, kv, D, w.v, l);
  }
  matrix(Role::o, D, q, w.o, l);
  if (c_.qkv_bias) qkv_bias(l, w);
  if (c_.o_bias) vector(Role::o_bias, D, w.o_bias, l);
  if (c_.attention_sinks) vector(Role::sinks, c_.head_count, w.sinks, l);
  if (c_.qk_norm != QkNorm::none) {
    const bool whole = c_.qk_norm == QkNorm::projection;
    norm(Role::q_norm, whole ? q : c_.head_dim, w.q_norm, l);
    norm(Role::k_norm, whole ? kv : c_.head_dim, w.k_norm, l);
  }
}

// The fused form may hold them in one vector as well.
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
}

// The absorbed form needs, per head, K's part transposed (queries into the latent space) and V's part as it is. New GGUF
// files hold them so; Hugging Face and older GGUF files hold both in kv_b, row blocks [nope; v] per head.
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
  if (file_.kind() == Kind::hf && has(Role::expert_gate_up)) {
    stacked_experts(l, w);
  } else {
    if (file_.kind() == Kind::gguf && find(Role::expert_gate_up, l) != nullptr) {
      fused_experts(l, w);
    } else {
      experts(Role::expert_gate, l, F, D, &FfnWeights::gate, w);
      experts(Role::expert_up, l, F, D, &FfnWeights::up, w);
    }
    experts(Role::expert_down, l, D, F, &FfnWeights::down, w);
  }
  if (c_.expert_bias) expert_biases(l, w);
  if (const std::int64_t shared = c_.shared_width(); shared > 0) {
    matrix(Role::shared_gate, shared, D, w.shared.gate, l);
    matrix(Role::shared_up, shared, D, w.shared.up, l);
    matrix(Role::shared_down, D, shared, w.shared.down, l);
  }
  if (c_.shared_expert_gate) gate_row(l, w);
}

// GGUF: per expert the rows of gate, then those of up.
void Planner::fused_experts(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.router.expert_count;
  const TensorInfo* both = require(Role::expert_gate_up, {E, 2 * F, D}, l);
  for (std::int64_t e = 0; e < E && both != nullptr; ++e) {
    rows_of(both, e * 2 * F, F, D, w.experts[static_cast<std::size_t>(e)].gate);
    rows_of(both, e * 2 * F + F, F, D, w.experts[static_cast<std::size_t>(e)].up);
  }
}

// All experts in one tensor [E, in, out]; outputs of gate and up alternate.
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

// MXFP4 holds the outputs as rows, codes and exponents in two tensors of bytes: GGUF's blocks after some shuffling.
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
  const std::int64_t D = c_.hidden_size, F = c_.intermediate_size;
  if (arch::tensor_name(recognised_, file_.kind(), Role::gate_up, l).empty()) {
    matrix(Role::gate, F, D, w.gate, l);
    matrix(Role::up, F, D, w.up, l);
  } else if (const TensorInfo* both = require(Role::gate_up, {2 * F, D}, l)) {
    rows_of(both, 0, F, D, w.gate);
    rows_of(both, F, F, D, w.up);
  }
  matrix(Role::down, D, F, w.down, l);
}

void Planner::layer(std::int64_t l) {
  LayerWeights& w = w_.layers[static_cast<std::size_t>(l)];
  if (c_.pre_norms) {
    norm(Role::attention_norm, c_.hidden_size, w.attention_norm, l);
    norm(Role::ffn_norm, c_.hidden_size, w.ffn_norm, l);
  }
  c_.attention == AttentionKind::mla ? mla(l, w) : gqa(l, w);
  if (c_.post_norms) {
    norm(Role::post_attention_norm, c_.hidden_size, w.post_attention_norm, l);
    norm(Role::post_ffn_norm, c_.hidden_size, w.post_ffn_norm, l);
  }
  c_.layer_is_moe(l) ? moe(l, w) : dense(l, w.ffn);
}

// Multi-token-prediction layers stand behind the last layer under the same naming, but for ERNIE's.
bool Planner::is_mtp(const std::string& in_file) const {
  const std::string name = recognised_.prefix.without(in_file);
  if (name.starts_with("model.mtp_")) return true;  // ERNIE's, whatever the configuration says
  for (std::int64_t l = c_.layer_count; l < c_.layer_count + c_.mtp_layer_count; ++l)
    if (name.rfind(file_.kind() == Kind::hf ? fmt::format("model.layers.{}.", l) : fmt::format("blk.{}.", l), 0) == 0)
      return true;
  return false;
}

// Tensors of the other models of a checkpoint are counted, not read.
bool Planner::is_tower(const TensorInfo& tensor, std::string_view name) {
  if (recognised_.wrapper == nullptr || !recognised_.wrapper->is_tower(name)) return false;
  plan_.tower_tensors += 1;
  plan_.tower_parameters += tensor.rows() * tensor.cols();
  return true;
}

bool Planner::is_rope_factors(const TensorInfo& tensor) {
  if (c_.rope.scaling == RopeScaling::factors) return &tensor == find(Role::rope_factors);
  return c_.rope.scaling == RopeScaling::longrope &&
         (&tensor == find(Role::rope_factors_short) || &tensor == find(Role::rope_factors_long));
}

void Planner::account() {
  std::vector<std::string> leftover;
  for (const TensorInfo& tensor : file_.tensors()) {
    const std::int64_t count = tensor.rows() * tensor.cols();
    if (is_tower(tensor, tensor.name)) continue;
    if (scales_.count(&tensor) != 0) continue;  // of FP8 weights; no parameters
    if (is_rope_factors(tensor)) continue;      // read with the configuration
    if (used_.count(&tensor) != 0) {
      plan_.total_parameters += count;
    } else if (is_mtp(tensor.name) && quantization_.method == arch::Quantization::Method::fp8 &&
               tensor.name.ends_with("_scale_inv")) {
      continue;
    } else if (is_mtp(tensor.name)) {
      plan_.mtp_parameters += count;
    } else if (arch::is_leftover(file_.kind(), tensor.name)) {
      leftover.push_back(tensor.name);
    } else if (!c_.tie_word_embeddings || tensor.name != arch::tensor_name(recognised_, file_.kind(), Role::head)) {
      refuse(ErrorCode::unsupported,
             fmt::format("tensor {} is not expected in a {} model", tensor.name.substr(0, 120), c_.family));
    }
  }
  for (const checkpoint::UnsupportedTensor& tensor : file_.unsupported()) {
    const std::int64_t count = tensor.where.rows() * tensor.where.cols();
    if (is_tower(tensor.where, tensor.name)) continue;
    if (raw_.count(&tensor.where) != 0)
      plan_.total_parameters += tensor.type == "F8_E4M3" ? count : tensor.name.ends_with("_blocks") ? 2 * count : 0;
    else if (is_mtp(tensor.name))
      plan_.mtp_parameters += tensor.type == "F8_E4M3" ? count : 0;
    else if (arch::is_leftover(file_.kind(), tensor.name))
      leftover.push_back(tensor.name);
    else
      refuse(ErrorCode::unsupported, fmt::format("tensor {} of type {} is not expected in a {} model",
                                                 tensor.name.substr(0, 120), tensor.type, c_.family));
  }
  if (!leftover.empty())
    plan_.notes.push_back(fmt::format("{} {} of rotary frequencies ({}{}) {} not used: libmoe computes its own",
                                      leftover.size(), leftover.size() == 1 ? "tensor" : "tensors",
                                      in_quotes(leftover.front()), leftover.size() == 1 ? "" : ", ..",
                                      leftover.size() == 1 ? "is" : "are"));
}

Result<LoadPlan> Planner::run() {
  const std::int64_t D = c_.hidden_size;
  if (const TensorInfo* embedding = require_named(arch::embedding_name(file_, recognised_), {c_.vocab_size, D}))
    rows_of(embedding, 0, c_.vocab_size, D, w_.embedding);
  if (!c_.tie_word_embeddings) matrix(Role::head, c_.vocab_size, D, w_.head);
  norm(Role::final_norm, D, w_.final_norm, 0);
  w_.layers.resize(static_cast<std::size_t>(c_.layer_count));
  for (std::int64_t l = 0; l < c_.layer_count && !error_; ++l) layer(l);
  if (!error_) account();
  if (error_) return fail(error_->code, error_->message + arch::about_assumed(recognised_));
  return std::move(plan_);
}

}  // namespace

Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised,
                              Weights& weights) {
  return Planner(file, recognised, weights).run();
}

}  // namespace moe::inline MOE_ABI

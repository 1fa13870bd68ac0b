#include "model/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unordered_set>

#include "arch/family.hpp"
#include "kernels/packing.hpp"

namespace moe::inline MOE_ABI {
namespace {

using arch::Role;
using checkpoint::Kind;
using checkpoint::TensorInfo;

class Planner {
 public:
  Planner(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights)
      : file_(file), family_(*recognised.family), c_(recognised.config), w_(weights) {}

  Result<LoadPlan> run();

 private:
  using Shape = std::vector<std::int64_t>;

  const TensorInfo* find(Role role, std::int64_t layer = 0, std::int64_t expert = 0);
  const TensorInfo* require(Role role, const Shape& shape, std::int64_t layer = 0, std::int64_t expert = 0);
  void matrix(Role role, std::int64_t rows, std::int64_t k, Matrix& out, std::int64_t layer = 0);
  void rows_of(const TensorInfo* tensor, std::int64_t first_row, std::int64_t rows, std::int64_t k, Matrix& out);
  void vector(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void row(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void layer(std::int64_t l);
  void gqa(std::int64_t l, LayerWeights& w);
  void mla(std::int64_t l, LayerWeights& w);
  void mla_heads(std::int64_t l, LayerWeights& w);
  void moe(std::int64_t l, LayerWeights& w);
  void gate_row(std::int64_t l, LayerWeights& w);
  void dense(std::int64_t l, FfnWeights& w);
  void experts(Role role, std::int64_t l, std::int64_t rows, std::int64_t k, Matrix FfnWeights::*member, LayerWeights& w);
  bool is_mtp(const std::string& name) const;
  void account();
  void refuse(ErrorCode code, std::string message) {
    if (!error_) error_ = Error{code, std::move(message)};
  }

  const checkpoint::Checkpoint& file_;
  const arch::Family& family_;
  const ModelConfig& c_;
  Weights& w_;
  LoadPlan plan_;
  std::unordered_set<const TensorInfo*> used_;
  std::optional<Error> error_;
};

const TensorInfo* Planner::find(Role role, std::int64_t layer, std::int64_t expert) {
  return file_.find(arch::tensor_name(family_, file_.kind(), role, layer, expert));
}

const TensorInfo* Planner::require(Role role, const Shape& shape, std::int64_t layer, std::int64_t expert) {
  if (error_) return nullptr;
  const std::string name = arch::tensor_name(family_, file_.kind(), role, layer, expert);
  const TensorInfo* tensor = name.empty() ? nullptr : file_.find(name);
  if (tensor == nullptr) {
    for (const checkpoint::UnsupportedTensor& other : file_.unsupported())
      if (other.name == name)
        refuse(ErrorCode::unsupported, fmt::format("tensor {} is of type {}, which libmoe does not read", name, other.type));
    refuse(ErrorCode::not_found, fmt::format("tensor {} is missing, expected shape [{}]", name, fmt::join(shape, ", ")));
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

void Planner::rows_of(const TensorInfo* tensor, std::int64_t first_row, std::int64_t rows, std::int64_t k, Matrix& out) {
  out.format = tensor->format;
  out.rows = rows;
  out.k = k;
  out.panel_bytes = kernels::panel_bytes(tensor->format, k);
  plan_.matrices.push_back({tensor, first_row, &out, false});
}

void Planner::matrix(Role role, std::int64_t rows, std::int64_t k, Matrix& out, std::int64_t layer) {
  if (const TensorInfo* tensor = require(role, {rows, k}, layer)) rows_of(tensor, 0, rows, k, out);
}

void Planner::vector(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer) {
  if (const TensorInfo* tensor = require(role, {count}, layer)) plan_.vectors.push_back({tensor, &out});
}

// ERNIE's selection bias has a leading dimension of 1.
void Planner::row(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer) {
  const TensorInfo* found = find(role, layer);
  const bool flat = found == nullptr || found->shape.size() != 2;
  if (const TensorInfo* tensor = require(role, flat ? Shape{count} : Shape{1, count}, layer))
    plan_.vectors.push_back({tensor, &out});
}

void Planner::gqa(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, q = c_.head_count * c_.head_dim, kv = c_.kv_head_count * c_.head_dim;
  matrix(Role::q, q, D, w.q, l);
  matrix(Role::k, kv, D, w.k, l);
  matrix(Role::v, kv, D, w.v, l);
  matrix(Role::o, D, q, w.o, l);
  if (c_.qkv_bias) {
    vector(Role::q_bias, q, w.q_bias, l);
    vector(Role::k_bias, kv, w.k_bias, l);
    vector(Role::v_bias, kv, w.v_bias, l);
  }
  if (c_.qk_norm != QkNorm::none) {
    const bool whole = c_.qk_norm == QkNorm::projection;
    vector(Role::q_norm, whole ? q : c_.head_dim, w.q_norm, l);
    vector(Role::k_norm, whole ? kv : c_.head_dim, w.k_norm, l);
  }
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
  if (file_.kind() == Kind::gguf && find(Role::k_b, l) != nullptr) {
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
    plan_.matrices.push_back({kv_b, h * (nope + v), &k_b, true});
    rows_of(kv_b, h * (nope + v) + nope, v, lora, w.v_b[static_cast<std::size_t>(h)]);
  }
}

void Planner::experts(Role role, std::int64_t l, std::int64_t rows, std::int64_t k, Matrix FfnWeights::*member,
                      LayerWeights& w) {
  const std::int64_t E = c_.router.expert_count;
  if (file_.kind() == Kind::gguf) {
    const TensorInfo* all = require(role, {E, rows, k}, l);
    if (all == nullptr) return;
    for (std::int64_t e = 0; e < E; ++e) rows_of(all, e * rows, rows, k, w.experts[static_cast<std::size_t>(e)].*member);
    return;
  }
  for (std::int64_t e = 0; e < E; ++e) {
    const TensorInfo* one = require(role, {rows, k}, l, e);
    if (one == nullptr) return;
    rows_of(one, 0, rows, k, w.experts[static_cast<std::size_t>(e)].*member);
  }
}

void Planner::moe(std::int64_t l, LayerWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.moe_intermediate_size, E = c_.router.expert_count;
  matrix(Role::router, E, D, w.router, l);
  if (c_.router.selection_bias) row(Role::router_bias, E, w.router_bias, l);
  w.experts.resize(static_cast<std::size_t>(E));
  experts(Role::expert_gate, l, F, D, &FfnWeights::gate, w);
  experts(Role::expert_up, l, F, D, &FfnWeights::up, w);
  experts(Role::expert_down, l, D, F, &FfnWeights::down, w);
  if (const std::int64_t shared = c_.shared_width(); shared > 0) {
    matrix(Role::shared_gate, shared, D, w.shared.gate, l);
    matrix(Role::shared_up, shared, D, w.shared.up, l);
    matrix(Role::shared_down, D, shared, w.shared.down, l);
  }
  if (c_.shared_expert_gate) gate_row(l, w);
}

// Hugging Face files hold it as a matrix of one row, GGUF files as a vector.
void Planner::gate_row(std::int64_t l, LayerWeights& w) {
  const TensorInfo* found = find(Role::shared_expert_gate, l);
  const bool flat = found != nullptr && found->shape.size() == 1;
  const TensorInfo* tensor = require(Role::shared_expert_gate, flat ? Shape{c_.hidden_size} : Shape{1, c_.hidden_size}, l);
  if (tensor != nullptr) rows_of(tensor, 0, 1, c_.hidden_size, w.shared_gate);
}

void Planner::dense(std::int64_t l, FfnWeights& w) {
  const std::int64_t D = c_.hidden_size, F = c_.intermediate_size;
  if (arch::tensor_name(family_, file_.kind(), Role::gate_up, l).empty()) {
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
  vector(Role::attention_norm, c_.hidden_size, w.attention_norm, l);
  vector(Role::ffn_norm, c_.hidden_size, w.ffn_norm, l);
  c_.attention == AttentionKind::mla ? mla(l, w) : gqa(l, w);
  if (c_.post_norms) {
    vector(Role::post_attention_norm, c_.hidden_size, w.post_attention_norm, l);
    vector(Role::post_ffn_norm, c_.hidden_size, w.post_ffn_norm, l);
  }
  c_.layer_is_moe(l) ? moe(l, w) : dense(l, w.ffn);
}

// Multi-token-prediction layers stand behind the last layer under the same naming.
bool Planner::is_mtp(const std::string& name) const {
  for (std::int64_t l = c_.layer_count; l < c_.layer_count + c_.mtp_layer_count; ++l)
    if (name.rfind(file_.kind() == Kind::hf ? fmt::format("model.layers.{}.", l) : fmt::format("blk.{}.", l), 0) == 0)
      return true;
  return false;
}

void Planner::account() {
  for (const TensorInfo& tensor : file_.tensors()) {
    const std::int64_t count = tensor.rows() * tensor.cols();
    if (used_.count(&tensor) != 0) {
      plan_.total_parameters += count;
    } else if (is_mtp(tensor.name)) {
      plan_.mtp_parameters += count;
    } else if (!(c_.tie_word_embeddings && tensor.name == arch::tensor_name(family_, file_.kind(), Role::head)) &&
               !tensor.name.ends_with(".rotary_emb.inv_freq")) {
      refuse(ErrorCode::unsupported,
             fmt::format("tensor {} is not expected in a {} model", tensor.name.substr(0, 120), c_.family));
    }
  }
}

Result<LoadPlan> Planner::run() {
  const std::int64_t D = c_.hidden_size;
  matrix(Role::embedding, c_.vocab_size, D, w_.embedding);
  if (!c_.tie_word_embeddings) matrix(Role::head, c_.vocab_size, D, w_.head);
  vector(Role::final_norm, D, w_.final_norm, 0);
  w_.layers.resize(static_cast<std::size_t>(c_.layer_count));
  for (std::int64_t l = 0; l < c_.layer_count && !error_; ++l) layer(l);
  if (!error_) account();
  if (error_) return tl::unexpected<Error>(*error_);
  return std::move(plan_);
}

}  // namespace

Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights) {
  return Planner(file, recognised, weights).run();
}

}  // namespace moe::inline MOE_ABI

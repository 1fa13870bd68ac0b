#include "model/plan.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/packing.hpp"
#include "model/planner.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI {

using checkpoint::TensorInfo;

const TensorInfo* Planner::find(Role role, std::int64_t layer, std::int64_t expert) {
  return file_.find(arch::tensor_name(recognised_, file_.kind(), role, layer, expert));
}

// As a tensor or as codes.
bool Planner::holds(Role role, std::int64_t layer) const {
  const std::string name = arch::tensor_name(recognised_, file_.kind(), role, layer);
  return file_.find(name) != nullptr || has_codes(name);
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
  if (tensor == nullptr && quantization_.method != arch::Quantization::Method::none)
    if (const TensorInfo* codes = find_codes(name, shape); codes != nullptr || error_) return codes;
  if (tensor == nullptr) {
    if (quantization_.method == arch::Quantization::Method::none && has_codes(name))
      refuse(ErrorCode::unsupported, fmt::format("tensor {} is stored as codes, and config.json has no "
                                                 "quantization_config that says how to read them",
                                                 name));
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

void Planner::add(MatrixJob job) {
  if (job.encoding == Encoding::format && codes_.count(job.tensor) != 0) attach_scales(job);
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

void Planner::layer(std::int64_t l, LayerWeights& w) {
  const Mixer mixer = c_.mixer(l);
  if (c_.pre_norms && mixer != Mixer::none) norm(Role::attention_norm, c_.hidden_size, w.attention_norm, l);
  if (c_.pre_norms && c_.has_ffn(l)) norm(Role::ffn_norm, c_.hidden_size, w.ffn_norm, l);
  if (mixer == Mixer::attention)
    c_.attention == AttentionKind::mla ? mla(l, w) : gqa(l, w);
  else
    recurrent(l, w);
  if (c_.post_norms) {
    norm(Role::post_attention_norm, c_.hidden_size, w.post_attention_norm, l);
    norm(Role::post_ffn_norm, c_.hidden_size, w.post_ffn_norm, l);
  }
  if (c_.layer_is_moe(l)) moe(l, w);
  if (c_.has_dense_ffn(l)) dense(l, w.ffn);
  layer_end(l, w);
}

Result<LoadPlan> Planner::run() {
  const std::int64_t D = c_.hidden_size;
  if (const TensorInfo* embedding = require_named(arch::embedding_name(file_, recognised_), {c_.vocab_size, D}))
    rows_of(embedding, 0, c_.vocab_size, D, w_.embedding);
  if (!c_.tie_word_embeddings) matrix(Role::head, c_.vocab_size, D, w_.head);
  norm(Role::final_norm, D, w_.final_norm, 0);
  layer_inputs();
  w_.layers.resize(static_cast<std::size_t>(c_.layer_count));
  for (std::int64_t l = 0; l < c_.layer_count && !error_; ++l) layer(l, w_.layers[static_cast<std::size_t>(l)]);
  if (!error_) account();
  if (error_) return fail(error_->code, error_->message + arch::about_assumed(recognised_));
  return std::move(plan_);
}

Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised,
                              Weights& weights) {
  return Planner(file, recognised, weights).run();
}

}  // namespace moe::inline MOE_ABI

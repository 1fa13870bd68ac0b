// Delta nets and short convolutions of a directory in GGUF's order: q, k, v and z one after the other where Qwen3-Next has
// them grouped by key head, the heads of values in llama.cpp's order for Qwen3.5, convolutions as float32 [channels, taps],
// -exp(A_log).

#include "convert/recurrent_tensors.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

using arch::Role;
using checkpoint::TensorInfo;

/// `count` rows of each head: of head h from first + h / per_group * group + h % per_group * count on.
struct HeadRows {
  const TensorInfo* tensor;
  std::int64_t first, count, per_group, group;

  std::int64_t at(std::int64_t head) const { return first + head / per_group * group + head % per_group * count; }
};

/// Rows that follow those before them belong to the same source.
void append(OutputTensor& out, const TensorInfo& tensor, std::int64_t first, std::int64_t count) {
  if (!out.sources.empty()) {
    Source& last = out.sources.back();
    if (last.tensor == &tensor && last.first_row + last.row_count == first) {
      last.row_count += count;
      return;
    }
  }
  out.sources.push_back({&tensor, first, count});
}

class DeltaNet {
 public:
  DeltaNet(const RecurrentConfig& config, bool tiled, const RecurrentParts& parts)
      : r_(config), tiled_(tiled), per_key_(config.heads / config.key_heads), parts_(parts) {}

  void add() {
    projections();
    gates();
    if (const TensorInfo* conv = parts_.find(Role::conv)) {
      OutputTensor& out = parts_.start(Role::conv, {2 * r_.keys() + r_.values(), r_.conv_kernel});
      out.is_matrix = false;
      append(out, *conv, 0, 2 * r_.keys());
      values(out, {conv, 2 * r_.keys(), r_.value_dim, r_.heads, 0});
    }
    vector(Role::recurrent_dt_bias);
    if (OutputTensor* decay = vector(Role::recurrent_a_log)) decay->minus_exp = true;
    if (const TensorInfo* norm = parts_.find(Role::recurrent_norm))
      parts_.start(Role::recurrent_norm, norm->shape).sources = {{norm, 0, norm->rows()}};
    if (const TensorInfo* out = parts_.find(Role::recurrent_out)) {
      OutputTensor& made = parts_.start(Role::recurrent_out, out->shape);
      made.sources = {{out, 0, out->rows()}};
      made.column_order = order(r_.value_dim);
    }
  }

 private:
  /// The directory's number of the head of values that the file has in place `at`.
  std::int64_t head(std::int64_t at) const { return tiled_ ? at % r_.key_heads * per_key_ + at / r_.key_heads : at; }
  void keys(OutputTensor& out, const HeadRows& rows) const {
    for (std::int64_t h = 0; h < r_.key_heads; ++h) append(out, *rows.tensor, rows.at(h), rows.count);
  }
  void values(OutputTensor& out, const HeadRows& rows) const {
    for (std::int64_t h = 0; h < r_.heads; ++h) append(out, *rows.tensor, rows.at(head(h)), rows.count);
  }
  /// Columns of `each` values a head; empty where they stay.
  std::vector<std::int64_t> order(std::int64_t each) const {
    std::vector<std::int64_t> columns;
    if (tiled_ && per_key_ > 1 && r_.key_heads > 1)
      for (std::int64_t i = 0; i < r_.heads * each; ++i) columns.push_back(head(i / each) * each + i % each);
    return columns;
  }

  void projections() {
    const TensorInfo* joint = parts_.find(Role::recurrent_qkvz);
    const TensorInfo* qkv = joint != nullptr ? joint : parts_.find(Role::recurrent_in);
    const TensorInfo* z = joint != nullptr ? joint : parts_.find(Role::recurrent_z);
    if (qkv == nullptr || z == nullptr) return;  // required tensors were checked before
    const std::int64_t n = r_.key_dim, all = r_.heads, of_key = per_key_ * r_.value_dim, group = 2 * (n + of_key);
    OutputTensor& in = parts_.start(Role::recurrent_in, {2 * r_.keys() + r_.values(), qkv->cols()});
    if (joint != nullptr) {
      keys(in, {joint, 0, n, 1, group});
      keys(in, {joint, n, n, 1, group});
      values(in, {joint, 2 * n, r_.value_dim, per_key_, group});
    } else {
      append(in, *qkv, 0, 2 * r_.keys());
      values(in, {qkv, 2 * r_.keys(), r_.value_dim, all, 0});
    }
    OutputTensor& gate = parts_.start(Role::recurrent_z, {r_.values(), z->cols()});
    if (joint != nullptr)
      values(gate, {joint, 2 * n + of_key, r_.value_dim, per_key_, group});
    else
      values(gate, {z, 0, r_.value_dim, all, 0});
  }

  /// Both in one tensor, grouped by key head, or (tiled) one each.
  void gates() {
    const TensorInfo* joint = parts_.find(Role::recurrent_ba);
    const TensorInfo* b = joint != nullptr ? joint : parts_.find(Role::recurrent_b);
    const TensorInfo* a = joint != nullptr ? joint : parts_.find(Role::recurrent_a);
    if (b == nullptr || a == nullptr) return;
    const HeadRows of_b = {b, 0, 1, per_key_, joint != nullptr ? 2 * per_key_ : per_key_};
    const HeadRows of_a = {a, joint != nullptr ? per_key_ : 0, 1, per_key_, of_b.group};
    if (tiled_) {
      values(parts_.start(Role::recurrent_b, {r_.heads, b->cols()}), of_b);
      values(parts_.start(Role::recurrent_a, {r_.heads, a->cols()}), of_a);
      return;
    }
    OutputTensor& both = parts_.start(Role::recurrent_ba, {2 * r_.heads, b->cols()});
    for (std::int64_t h = 0; h < r_.heads; h += per_key_)
      for (const HeadRows& rows : {of_b, of_a}) append(both, *rows.tensor, rows.at(h), per_key_);
  }

  /// A number of each head.
  OutputTensor* vector(Role role) {
    const TensorInfo* numbers = parts_.find(role);
    if (numbers == nullptr) return nullptr;
    OutputTensor& out = parts_.start(role, {r_.heads});
    out.sources = {{numbers, 0, numbers->rows()}};
    out.column_order = order(1);
    return &out;
  }

  const RecurrentConfig& r_;
  bool tiled_;
  std::int64_t per_key_;
  const RecurrentParts& parts_;
};

}  // namespace

void add_delta_net(const RecurrentConfig& config, bool tiled, const RecurrentParts& parts) {
  DeltaNet(config, tiled, parts).add();
}

void add_short_conv(const RecurrentParts& parts) {
  for (const Role role : {Role::recurrent_in, Role::conv, Role::recurrent_out}) {
    const TensorInfo* tensor = parts.find(role);
    if (tensor == nullptr) continue;
    OutputTensor& out = parts.start(role, {tensor->rows(), tensor->cols()});
    if (role == Role::conv) out.is_matrix = false;
    out.sources = {{tensor, 0, tensor->rows()}};
  }
}

}  // namespace moe::inline MOE_ABI::convert

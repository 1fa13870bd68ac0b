#pragma once
// The implementation of plan_weights(): one object per load, its parts in plan.cpp (finding tensors),
// plan_attention.cpp, plan_recurrent.cpp, plan_experts.cpp (and dense layers), plan_layer_inputs.cpp
// and plan_account.cpp (other tensors of the file).

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/plan.hpp"

namespace moe::inline MOE_ABI {

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
  Result<LoadPlan> run_mtp();  // plan_mtp.cpp

 private:
  using Role = arch::Role;
  using Kind = checkpoint::Kind;
  using TensorInfo = checkpoint::TensorInfo;
  using Shape = std::vector<std::int64_t>;
  struct Codes {
    Encoding encoding = Encoding::fp8;
    ScaledSource source;
    const std::vector<std::int32_t>* column_groups = nullptr;  // in plan_
  };

  const TensorInfo* find(Role role, std::int64_t layer = 0, std::int64_t expert = 0);
  bool holds(Role role, std::int64_t layer) const;
  const TensorInfo* require(Role role, const Shape& shape, std::int64_t layer = 0, std::int64_t expert = 0);
  const TensorInfo* require_named(const std::string& name, const Shape& shape);
  bool one_value_blocks(const TensorInfo& tensor);
  void matrix(Role role, std::int64_t rows, std::int64_t k, Matrix& out, std::int64_t layer = 0);
  void add(MatrixJob job);
  bool has_codes(const std::string& name) const;
  const TensorInfo* find_codes(const std::string& name, const Shape& shape);
  const TensorInfo* words_of(const std::string& name, const Shape& shape, ScaledSource& s);
  int code_bits(std::int64_t in_row, std::int64_t columns) const;
  int unplanned_bits(const checkpoint::UnsupportedTensor& words);
  void attach_scales(MatrixJob& job);
  static void describe(const Codes& codes, MatrixJob& job);
  bool unpacked_scales(const std::string& name, bool fp8, ScaledSource& s);
  bool unpacked_zeros(const std::string& name, const Shape& shape, ScaledSource& s);
  Shape stored_shape(const checkpoint::UnsupportedTensor& tensor);
  void check_shape(const std::string& name, const ScaledSource& s);
  bool packed_scales(const std::string& stem, ScaledSource& s);
  bool has_whole_rows() const;
  bool group_size(const std::string& weight, std::int64_t groups, ScaledSource& s);
  const TensorInfo* scale_tensor(const std::string& name, const Shape& shape);
  const TensorInfo* numbers(const std::string& name, std::string_view type, const Shape& shape);
  std::vector<std::int32_t> order_of(const std::string& name, const ScaledSource& s);
  void rows_of(const TensorInfo* tensor, std::int64_t first_row, std::int64_t rows, std::int64_t k, Matrix& out);
  void vector(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void row(Role role, std::int64_t count, std::vector<float>& out, std::int64_t layer);
  void layer(std::int64_t l, LayerWeights& w);
  void gqa(std::int64_t l, LayerWeights& w);
  void qkv_bias(std::int64_t l, LayerWeights& w);
  void mla(std::int64_t l, LayerWeights& w);
  void mla_heads(std::int64_t l, LayerWeights& w);
  void recurrent(std::int64_t l, LayerWeights& w);
  void delta_net(std::int64_t l, RecurrentWeights& w);
  void mamba2(std::int64_t l, RecurrentWeights& w);
  void decay(std::int64_t l, RecurrentWeights& w);
  void convolution(std::int64_t l, RecurrentWeights& w);
  void numbers(Role role, std::initializer_list<Shape> shapes, std::vector<float>& out, std::int64_t layer);
  void moe(std::int64_t l, LayerWeights& w);
  void gate_row(std::int64_t l, LayerWeights& w);
  void beside_experts(std::int64_t l, LayerWeights& w);
  void layer_inputs();
  void layer_end(std::int64_t l, LayerWeights& w);
  bool is_unused_key(const std::string& name) const;
  void dense(std::int64_t l, FfnWeights& w);
  void gate_and_up(std::int64_t l, Role both_of, Role gate, Role up, std::int64_t F, FfnWeights& w);
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
  bool is_activation_scale(std::string_view name) const;
  bool is_scale(std::string_view name) const;
  bool is_zero_bias(const TensorInfo& tensor);
  void note_code_bits();
  std::int64_t weights_in(const checkpoint::UnsupportedTensor& tensor) const;
  bool is_tower(const TensorInfo& tensor, std::string_view name, std::int64_t weights);
  bool is_rope_factors(const TensorInfo& tensor);
  /// Tensors that libmoe knows and does not use.
  struct LeftOut {
    std::int64_t keys = 0, zero_biases = 0;
    std::vector<std::string> frequencies;
  };
  bool is_left_out(const std::string& name, LeftOut& out) const;
  void account_for(const TensorInfo& tensor, LeftOut& out);
  void account_for(const checkpoint::UnsupportedTensor& tensor, LeftOut& out);
  void note(const LeftOut& out);
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
  std::unordered_set<const TensorInfo*> raw_, scales_;  // of file_.unsupported(), and what belongs to codes
  std::unordered_map<const TensorInfo*, Codes> codes_;  // by the tensor of codes
  std::unordered_map<std::string_view, const checkpoint::UnsupportedTensor*> unsupported_;
  std::optional<Error> error_;
};

}  // namespace moe::inline MOE_ABI

// Tensors of a file that the plan does not use: counted, noted, or refused.
#include <fmt/format.h>

#include "arch/quantization_config.hpp"
#include "model/planner.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI {

// Of activations and of a quantised cache: libmoe quantises neither by the file's numbers.
bool Planner::is_activation_scale(std::string_view name) const {
  if (quantization_.method == arch::Quantization::Method::none) return false;
  for (const std::string_view end : {".input_scale", ".input_zero_point", ".activation_scale", ".output_scale",
                                     ".output_zero_point", ".prob_output_scale", ".q_scale", ".q_zero_point",
                                     ".k_scale", ".k_zero_point", ".v_scale", ".v_zero_point", ".kv_scale"})
    if (name.ends_with(end)) return true;
  return false;
}

bool Planner::is_scale(std::string_view name) const {
  return quantization_.method != arch::Quantization::Method::none && arch::belongs_to_weight(name);
}

// GPTQ programs wrote a bias of zeros for every weight, also where the model has none.
bool Planner::is_zero_bias(const TensorInfo& tensor) {
  constexpr std::string_view kEnd = "bias";
  if (quantization_.method != arch::Quantization::Method::gptq || !tensor.name.ends_with(".bias")) return false;
  const std::string stem = tensor.name.substr(0, tensor.name.size() - kEnd.size());
  const checkpoint::UnsupportedTensor* codes = find_raw(stem + "qweight", "I32");
  if (codes == nullptr || raw_.count(&codes->where) == 0 || tensor.shape != Shape{codes->where.cols()}) return false;
  if (!one_value_blocks(tensor)) return false;
  const auto bytes = static_cast<std::size_t>(format_info(tensor.format).block_bytes);
  std::vector<std::byte> values(static_cast<std::size_t>(tensor.cols()) * bytes);
  if (auto ok = file_.read(tensor, 0, values); !ok) {
    refuse(ok.error().code, ok.error().message);
    return false;
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    if ((i % bytes == bytes - 1 ? values[i] & std::byte{0x7f} : values[i]) != std::byte{0}) {
      refuse(ErrorCode::unsupported, fmt::format("tensor {} is not expected in a {} model, and not zero",
                                                 tensor.name.substr(0, 120), c_.family));
      return false;
    }
  return true;
}

void Planner::note_code_bits() {
  if (file_.kind() != Kind::hf) return;
  for (const checkpoint::UnsupportedTensor& tensor : file_.unsupported()) {
    if (tensor.type != "I32" || error_) continue;
    if (const auto codes = codes_.find(&tensor.where); codes != codes_.end())
      plan_.code_bits[&tensor.where] = codes->second.source.bits;
    else if (arch::holds_codes(tensor.name))
      plan_.code_bits[&tensor.where] = unplanned_bits(tensor);
  }
}

// In one number of this tensor.
std::int64_t Planner::weights_in(const checkpoint::UnsupportedTensor& tensor) const {
  const auto bits = plan_.code_bits.find(&tensor.where);
  return bits != plan_.code_bits.end() ? 32 / bits->second : 1;
}

// Tensors of other towers are counted, not read. `weights`: in one of its numbers.
bool Planner::is_tower(const TensorInfo& tensor, std::string_view name, std::int64_t weights) {
  if (recognised_.wrapper == nullptr || !recognised_.wrapper->is_tower(name)) return false;
  plan_.tower_tensors += 1;
  if (!is_scale(name)) plan_.tower_parameters += tensor.rows() * tensor.cols() * weights;
  return true;
}

bool Planner::is_rope_factors(const TensorInfo& tensor) {
  if (c_.rope.scaling == RopeScaling::factors || c_.rope.scaling == RopeScaling::proportional)
    return &tensor == find(Role::rope_factors);
  return c_.rope.scaling == RopeScaling::longrope &&
         (&tensor == find(Role::rope_factors_short) || &tensor == find(Role::rope_factors_long));
}

// False: none of these, which are counted alike whatever the tensor's type.
bool Planner::is_left_out(const std::string& name, LeftOut& out) const {
  if (is_unused_key(name)) {
    out.keys += 1;
  } else if (arch::is_leftover(file_.kind(), name)) {
    out.frequencies.push_back(name);
  } else {
    return false;
  }
  return true;
}

void Planner::account_for(const TensorInfo& tensor, LeftOut& out) {
  const std::int64_t count = tensor.rows() * tensor.cols();
  const bool is_mtp = arch::is_mtp(recognised_, file_.kind(), tensor.name);
  if (is_tower(tensor, tensor.name, 1)) return;
  if (scales_.count(&tensor) != 0) return;  // of FP8 weights; no parameters
  if (is_rope_factors(tensor)) return;      // read with the configuration
  if (used_.count(&tensor) != 0) {
    plan_.total_parameters += count;
  } else if (is_activation_scale(tensor.name) || (is_mtp && is_scale(tensor.name))) {
    return;
  } else if (is_mtp) {
    plan_.mtp_parameters += count;
  } else if (is_left_out(tensor.name, out)) {
    return;
  } else if (is_zero_bias(tensor)) {
    out.zero_biases += 1;
  } else if (!c_.tie_word_embeddings || tensor.name != arch::tensor_name(recognised_, file_.kind(), Role::head)) {
    refuse(ErrorCode::unsupported,
           fmt::format("tensor {} is not expected in a {} model", tensor.name.substr(0, 120), c_.family));
  }
}

void Planner::account_for(const checkpoint::UnsupportedTensor& tensor, LeftOut& out) {
  const std::int64_t count = tensor.where.rows() * tensor.where.cols();
  if (is_tower(tensor.where, tensor.name, weights_in(tensor))) return;
  if (const auto codes = codes_.find(&tensor.where); codes != codes_.end())
    plan_.total_parameters += codes->second.source.rows * codes->second.source.columns;
  else if (raw_.count(&tensor.where) != 0)
    plan_.total_parameters += tensor.name.ends_with("_blocks") ? 2 * count : 0;
  else if (scales_.count(&tensor.where) != 0 || is_activation_scale(tensor.name))
    return;
  else if (arch::is_mtp(recognised_, file_.kind(), tensor.name))
    plan_.mtp_parameters += is_scale(tensor.name) ? 0 : count * weights_in(tensor);
  else if (!is_left_out(tensor.name, out))
    refuse(ErrorCode::unsupported, fmt::format("tensor {} of type {} is not expected in a {} model",
                                               tensor.name.substr(0, 120), tensor.type, c_.family));
}

void Planner::note(const LeftOut& out) {
  if (out.keys > 0)
    plan_.notes.push_back(
        fmt::format("{} tensors of keys and values in the last {} layers are not used: those layers share "
                    "the keys and values of others",
                    out.keys, c_.kv_shared_layer_count));
  if (out.zero_biases > 0)
    plan_.notes.push_back(fmt::format("{} {} of zeros left out: the family has none there", out.zero_biases,
                                      out.zero_biases == 1 ? "bias" : "biases"));
  if (const std::size_t n = out.frequencies.size(); n > 0)
    plan_.notes.push_back(fmt::format("{} {} of rotary frequencies ({}{}) {} not used: libmoe computes its own", n,
                                      n == 1 ? "tensor" : "tensors", in_quotes(out.frequencies.front()),
                                      n == 1 ? "" : ", ..", n == 1 ? "is" : "are"));
}

void Planner::account() {
  note_code_bits();
  LeftOut out;
  for (const TensorInfo& tensor : file_.tensors()) account_for(tensor, out);
  for (const checkpoint::UnsupportedTensor& tensor : file_.unsupported()) account_for(tensor, out);
  note(out);
}

}  // namespace moe::inline MOE_ABI

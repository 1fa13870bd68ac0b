// Which tensors a GGUF file of a model holds, and from which rows of the input each is made.

#include <fmt/format.h>

#include "checkpoint/message.hpp"
#include "convert/convert.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

using arch::Role;
using checkpoint::Checkpoint;
using checkpoint::Kind;
using checkpoint::TensorInfo;

bool is_expert(Role role) { return role == Role::expert_gate || role == Role::expert_up || role == Role::expert_down; }

class Lister {
 public:
  Lister(const Checkpoint& file, const arch::Recognised& model)
      : file_(file), family_(*model.family), c_(model.config) {}

  std::vector<OutputTensor> run() {
    add(Role::embedding, 0);
    if (!c_.tie_word_embeddings) add(Role::head, 0);
    add(Role::final_norm, 0);
    for (std::int64_t l = 0; l < c_.layer_count; ++l) layer(l);
    return std::move(out_);
  }

 private:
  const TensorInfo* find(Role role, std::int64_t layer, std::int64_t expert = 0) const {
    const std::string name = arch::tensor_name(family_, Kind::hf, role, layer, expert);
    return name.empty() ? nullptr : file_.find(name);
  }
  static Source whole(const TensorInfo& tensor) { return {&tensor, 0, tensor.rows()}; }

  OutputTensor& start(Role role, std::int64_t l, std::vector<std::int64_t> shape) {
    OutputTensor& out = out_.emplace_back();
    out.role = role;
    out.tensor.name = arch::tensor_name(family_, Kind::gguf, role, l);
    out.is_matrix = shape.size() > 1 && role != Role::router;
    out.tensor.shape = std::move(shape);
    return out;
  }

  void add(Role role, std::int64_t l) {
    const TensorInfo* tensor = find(role, l);
    if (tensor == nullptr) return;  // what a model of this family must have was checked before
    if (is_expert(role)) return add_experts(role, l, *tensor);
    OutputTensor& out = start(role, l, tensor->shape);
    out.sources = {whole(*tensor)};
    if (family_.gguf_architecture == "llama" && (role == Role::q || role == Role::k)) {
      out.arrangement = Arrangement::rope_pairs;
      out.head_rows = c_.head_dim;
    }
  }

  /// One tensor of all experts.
  void add_experts(Role role, std::int64_t l, const TensorInfo& first) {
    OutputTensor& out = start(role, l, {c_.router.expert_count, first.rows(), first.cols()});
    for (std::int64_t e = 0; e < c_.router.expert_count; ++e) out.sources.push_back(whole(*find(role, l, e)));
  }

  /// kv_b holds per head the rows of K and then of V; the absorbed form wants K's part transposed.
  void add_latent_heads(std::int64_t l) {
    const TensorInfo* kv_b = find(Role::kv_b, l);
    if (kv_b == nullptr) return;
    const std::int64_t heads = c_.head_count, k = c_.qk_nope_head_dim, v = c_.v_head_dim, latent = c_.kv_lora_rank;
    OutputTensor& keys = start(Role::k_b, l, {heads, latent, k});
    keys.arrangement = Arrangement::transposed;
    for (std::int64_t h = 0; h < heads; ++h) keys.sources.push_back({kv_b, h * (k + v), k});
    OutputTensor& values = start(Role::v_b, l, {heads, v, latent});
    for (std::int64_t h = 0; h < heads; ++h) values.sources.push_back({kv_b, h * (k + v) + k, v});
  }

  void layer(std::int64_t l) {
    for (const Role role : {Role::attention_norm, Role::q, Role::k, Role::v, Role::o, Role::q_bias, Role::k_bias, Role::v_bias,
                            Role::q_norm, Role::k_norm, Role::q_a, Role::q_a_norm, Role::q_b, Role::kv_a, Role::kv_a_norm})
      add(role, l);
    add_latent_heads(l);
    for (const Role role : {Role::ffn_norm, Role::gate, Role::up, Role::down, Role::router, Role::router_bias, Role::expert_gate,
                            Role::expert_up, Role::expert_down, Role::shared_gate, Role::shared_up, Role::shared_down})
      add(role, l);
  }

  const Checkpoint& file_;
  const arch::Family& family_;
  const ModelConfig& c_;
  std::vector<OutputTensor> out_;
};

}  // namespace

Result<std::vector<OutputTensor>> tensors_of_directory(const Checkpoint& file, const arch::Recognised& model) {
  return Lister(file, model).run();
}

Result<std::vector<OutputTensor>> tensors_of_gguf(const Checkpoint& file) {
  if (!file.unsupported().empty())
    return fail(ErrorCode::unsupported, fmt::format("tensor {} is of type {}, which libmoe does not read",
                                                    checkpoint::in_quotes(file.unsupported().front().name),
                                                    file.unsupported().front().type));
  std::vector<OutputTensor> all;
  for (const TensorInfo& tensor : file.tensors()) {
    OutputTensor& out = all.emplace_back();
    out.tensor.name = tensor.name;
    out.tensor.shape = tensor.shape;
    out.sources = {{&tensor, 0, tensor.rows()}};
    out.role = Role::final_norm;  // any that is neither of the two
    if (tensor.name == arch::tensor_name(Kind::gguf, Role::embedding)) out.role = Role::embedding;
    if (tensor.name == arch::tensor_name(Kind::gguf, Role::head)) out.role = Role::head;
    const bool router = tensor.name.find(".ffn_gate_inp") != std::string::npos;
    out.is_matrix = tensor.rows() > 1 && tensor.name.ends_with(".weight") && !router;
  }
  return all;
}

}  // namespace moe::inline MOE_ABI::convert

// The tensors of a GGUF file, and the rows of the input that each is made from.

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "convert/convert.hpp"
#include "convert/recurrent_tensors.hpp"
#include "moe/rope.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

using arch::Role;
using checkpoint::Checkpoint;
using checkpoint::Kind;
using checkpoint::TensorInfo;

bool is_expert(Role role) { return role == Role::expert_gate || role == Role::expert_up || role == Role::expert_down; }

bool is_norm(Role role) {
  for (const Role norm : {Role::final_norm, Role::attention_norm, Role::ffn_norm, Role::post_attention_norm,
                          Role::post_ffn_norm, Role::q_norm, Role::k_norm})
    if (role == norm) return true;
  return false;
}

/// Always written as float32: small, and everything after them depends on them.
bool is_routing(Role role) {
  return role == Role::router || role == Role::router_bias || role == Role::shared_expert_gate ||
         role == Role::index_weights;
}

class Lister {
 public:
  Lister(const Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan)
      : file_(file), model_(model), family_(*model.family), c_(model.config) {
    for (const CodedWeight& coded : plan.coded) coded_[coded.shown.name].push_back(&coded);
  }

  std::vector<OutputTensor> run() {
    if (c_.rope.scaling == RopeScaling::llama3) add_rope_factors();
    if (c_.rope.scaling == RopeScaling::longrope) add_long_rope();
    if (c_.rope.scaling == RopeScaling::proportional) add_rotated_pairs();
    add_embedding();
    for (const Role role : {Role::layer_embedding, Role::layer_input, Role::layer_input_norm}) add(role, 0);
    if (!c_.tie_word_embeddings) add(Role::head, 0);
    add(Role::final_norm, 0);
    for (std::int64_t l = 0; l < c_.layer_count; ++l) layer(l);
    for (OutputTensor& out : out_)
      for (Source& source : out.sources)
        if (source.coded == nullptr)
          if (const auto found = coded_.find(source.tensor->name); found != coded_.end())
            source.coded = &found->second.front()->job;
    return std::move(out_);
  }

 private:
  const TensorInfo* find(Role role, std::int64_t layer, std::int64_t expert = 0) const {
    const std::string name = arch::tensor_name(model_, Kind::hf, role, layer, expert);
    return name.empty() ? nullptr : named(name);
  }
  /// Of the file, or of codes as if it were float32.
  const TensorInfo* named(const std::string& name) const {
    const auto coded = coded_.find(name);
    return coded != coded_.end() ? &coded->second.front()->shown : file_.find(name);
  }
  static Source whole(const TensorInfo& tensor) { return {&tensor, 0, tensor.rows()}; }

  OutputTensor& start(Role role, std::int64_t l, std::vector<std::int64_t> shape) {
    OutputTensor& out = out_.emplace_back();
    out.role = role;
    out.tensor.name = arch::tensor_name(model_, Kind::gguf, role, l);
    out.is_matrix = shape.size() > 1 && !is_routing(role);
    out.tensor.shape = std::move(shape);
    return out;
  }

  void add(Role role, std::int64_t l) {
    // Projections of layers that use the keys and values of others.
    if (!c_.has_keys(l) && (role == Role::k || role == Role::v || role == Role::k_norm)) return;
    // OLMo 2's name of the norm after attention is other families' name of the norm before the FFN.
    if (!c_.pre_norms && (role == Role::attention_norm || role == Role::ffn_norm)) return;
    const TensorInfo* tensor = find(role, l);
    if (tensor == nullptr) return;  // required tensors were checked before
    if (is_expert(role)) return add_experts(role, l, *tensor);
    OutputTensor& out = start(role, l, tensor->shape);
    out.sources = {whole(*tensor)};
    if (is_norm(role) && family_.hf_norms_minus_one) out.added = 1.0f;
    if (family_.gguf_rope_pairs && (role == Role::q || role == Role::k)) {
      out.arrangement = Arrangement::rope_pairs;
      out.head_rows = c_.head_dim;
    }
  }

  void add_embedding() {
    const TensorInfo* tensor = named(arch::embedding_name(file_, model_));
    if (tensor == nullptr) return;
    start(Role::embedding, 0, tensor->shape).sources = {whole(*tensor)};
  }

  /// One tensor of all experts.
  void add_experts(Role role, std::int64_t l, const TensorInfo& first) {
    OutputTensor& out = start(role, l, {c_.router.expert_count, first.rows(), first.cols()});
    for (std::int64_t e = 0; e < c_.router.expert_count; ++e) out.sources.push_back(whole(*find(role, l, e)));
  }

  /// Tensors [E, in, out] and biases [E, out] of all experts with interleaved gate and up (gpt-oss): one tensor
  /// [E, out, in] and one bias [E, out] each.
  void add_stacked_experts(std::int64_t l) {
    if (!add_mxfp4_experts(l)) {
      stacked(Role::expert_gate_up, Role::expert_gate, l, 0, 2);
      stacked(Role::expert_gate_up, Role::expert_up, l, 1, 2);
      stacked(Role::expert_down, Role::expert_down, l, 0, 1);
    }
    stacked(Role::expert_gate_up_bias, Role::expert_gate_bias, l, 0, 2);
    stacked(Role::expert_gate_up_bias, Role::expert_up_bias, l, 1, 2);
    stacked(Role::expert_down_bias, Role::expert_down_bias, l, 0, 1);
  }
  /// Matrices of all experts one after the other.
  void add_expert_rows(std::int64_t l) {
    if (const TensorInfo* all = find(Role::expert_gate_up, l); all != nullptr && family_.gguf_joined_experts) {
      start(Role::expert_gate_up, l, all->shape).sources = {whole(*all)};
    } else if (all != nullptr) {
      const std::int64_t experts = all->shape.front(), width = all->rows() / experts / 2;
      for (const Role role : {Role::expert_gate, Role::expert_up}) {
        OutputTensor& out = start(role, l, {experts, width, all->cols()});
        for (std::int64_t e = 0; e < experts; ++e)
          out.sources.push_back({all, (2 * e + (role == Role::expert_up)) * width, width});
      }
    }
    if (const TensorInfo* all = find(Role::expert_down_rows, l))
      start(Role::expert_down, l, all->shape).sources = {whole(*all)};
  }
  /// Of a tensor per expert: gate and up of each in one tensor of all.
  void add_joined_experts(std::int64_t l) {
    const TensorInfo& gate = *find(Role::expert_gate, l);
    const std::int64_t experts = c_.router.expert_count;
    OutputTensor& out = start(Role::expert_gate_up, l, {experts, 2 * gate.rows(), gate.cols()});
    for (std::int64_t e = 0; e < experts; ++e)
      for (const Role role : {Role::expert_gate, Role::expert_up}) out.sources.push_back(whole(*find(role, l, e)));
    add(Role::expert_down, l);
  }
  /// Experts of mxfp4, which have GGUF's order of rows.
  void coded_experts(Role role, const std::string& name, std::int64_t l) {
    const std::vector<const CodedWeight*>& experts = coded_.at(name);
    const TensorInfo& shown = experts.front()->shown;
    OutputTensor& out = start(role, l, {static_cast<std::int64_t>(experts.size()), shown.rows(), shown.cols()});
    for (const CodedWeight* e : experts) out.sources.push_back({&e->shown, 0, shown.rows(), 0, 1, &e->job});
  }
  bool add_mxfp4_experts(std::int64_t l) {
    const std::string both = arch::tensor_name(model_, Kind::hf, Role::expert_gate_up, l);
    if (both.empty() || coded_.count(both + ".gate") == 0) return false;
    coded_experts(Role::expert_gate, both + ".gate", l);
    coded_experts(Role::expert_up, both + ".up", l);
    coded_experts(Role::expert_down, arch::tensor_name(model_, Kind::hf, Role::expert_down, l), l);
    return true;
  }
  void stacked(Role from, Role to, std::int64_t l, std::int64_t first, std::int64_t step) {
    const TensorInfo* tensor = find(from, l);
    if (tensor == nullptr) return;
    const std::int64_t experts = tensor->shape.front(), in = tensor->rows() / experts,
                       out_count = tensor->cols() / step;
    const bool bias = tensor->shape.size() == 2;
    OutputTensor& out = start(to, l, bias ? std::vector{experts, out_count} : std::vector{experts, out_count, in});
    out.is_matrix = !bias;
    if (!bias) out.arrangement = Arrangement::transposed;
    for (std::int64_t e = 0; e < experts; ++e) out.sources.push_back({tensor, e * in, in, first, step});
  }

  /// Llama 3.1's rule in GGUF: the divisor of each pair's frequency.
  void add_rope_factors() {
    RopeConfig plain = c_.rope;
    plain.scaling = RopeScaling::none;
    const auto slow = RopeTable::create(c_.rope, c_.rotated_dim()), fast = RopeTable::create(plain, c_.rotated_dim());
    if (!slow || !fast) return;  // validate() has checked the numbers
    OutputTensor& out = start(Role::rope_factors, 0, {fast->pair_count()});
    for (std::size_t i = 0; i < fast->frequencies().size(); ++i)
      out.values.push_back(static_cast<float>(fast->frequencies()[i] / slow->frequencies()[i]));
  }

  /// As llama.cpp's converter writes Gemma 4's rule: pairs that RoPE does not rotate are divided by 1e30.
  void add_rotated_pairs() {
    OutputTensor& out = start(Role::rope_factors, 0, {c_.full_rotated_dim() / 2});
    out.values.assign(static_cast<std::size_t>(c_.full_rotated_dim() / 2), 1e30f);
    std::fill_n(out.values.begin(), c_.rope.rotated_pairs, 1.0f);
  }

  void add_long_rope() {
    for (const auto& [role, factors] : {std::pair(Role::rope_factors_long, &c_.rope.long_factors),
                                        std::pair(Role::rope_factors_short, &c_.rope.frequency_factors)}) {
      OutputTensor& out = start(role, 0, {static_cast<std::int64_t>(factors->size())});
      out.values.assign(factors->begin(), factors->end());
    }
  }

  /// kv_b has, per head, the rows of K and then of V; the absorbed form needs K's part transposed.
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
    for (const Role role : {Role::attention_norm, Role::qkv, Role::q, Role::k, Role::v, Role::o, Role::q_bias,
                            Role::k_bias, Role::v_bias, Role::o_bias, Role::sinks, Role::q_norm, Role::k_norm,
                            Role::q_a, Role::q_a_norm, Role::q_b, Role::kv_a, Role::kv_a_norm})
      add(role, l);
    add_latent_heads(l);
    const RecurrentParts parts = {
        [&](Role role) { return find(role, l); },
        [&](Role role, std::vector<std::int64_t> shape) -> OutputTensor& { return start(role, l, std::move(shape)); }};
    if (c_.mixer(l) == Mixer::delta_net) add_delta_net(c_.recurrent, family_.gguf_tiled_heads, parts);
    if (c_.mixer(l) == Mixer::short_conv) add_short_conv(parts);
    for (const Role role :
         {Role::index_q, Role::index_k, Role::index_k_norm, Role::index_k_norm_bias, Role::index_weights})
      add(role, l);
    for (const Role role : {Role::post_attention_norm,
                            Role::ffn_norm,
                            Role::post_ffn_norm,
                            Role::gate,
                            Role::up,
                            Role::gate_up,
                            Role::down,
                            Role::router,
                            Role::router_bias,
                            Role::router_logit_bias,
                            Role::shared_gate,
                            Role::shared_up,
                            Role::shared_down,
                            Role::shared_expert_gate,
                            Role::post_dense_norm,
                            Role::expert_norm,
                            Role::post_expert_norm,
                            Role::router_norm,
                            Role::expert_scale,
                            Role::layer_input_gate,
                            Role::layer_input_up,
                            Role::post_layer_input_norm,
                            Role::layer_scalar})
      add(role, l);
    if (family_.hf_expert_rows && find(Role::expert_gate_up, l) != nullptr) return add_expert_rows(l);
    if (c_.layer_is_moe(l) && !family_.hf_expert_rows &&
        !arch::tensor_name(model_, Kind::hf, Role::expert_gate_up, l).empty())
      return add_stacked_experts(l);
    if (c_.layer_is_moe(l) && family_.gguf_joined_experts) return add_joined_experts(l);
    for (const Role role : {Role::expert_gate, Role::expert_up, Role::expert_down}) add(role, l);
  }

  const Checkpoint& file_;
  const arch::Recognised& model_;
  const arch::Family& family_;
  const ModelConfig& c_;
  std::map<std::string, std::vector<const CodedWeight*>> coded_;
  std::vector<OutputTensor> out_;
};

}  // namespace

Result<std::vector<OutputTensor>> tensors_of_directory(const Checkpoint& file, const arch::Recognised& model,
                                                       const LoadPlan& plan) {
  std::vector<OutputTensor> tensors = Lister(file, model, plan).run();
  for (const OutputTensor& out : tensors)
    if (out.tensor.name.empty())
      return fail(ErrorCode::unsupported,
                  fmt::format("{} is not written to GGUF yet for models like this one: libmoe runs the directory",
                              in_quotes(out.sources.front().tensor->name)));
  return tensors;
}

Result<std::vector<OutputTensor>> tensors_of_gguf(const Checkpoint& file) {
  if (!file.unsupported().empty())
    return fail(ErrorCode::unsupported,
                fmt::format("tensor {} is of type {}, which libmoe does not read",
                            in_quotes(file.unsupported().front().name), file.unsupported().front().type));
  std::vector<OutputTensor> all;
  for (const TensorInfo& tensor : file.tensors()) {
    OutputTensor& out = all.emplace_back();
    out.tensor.name = tensor.name;
    out.tensor.shape = tensor.shape;
    out.sources = {{&tensor, 0, tensor.rows()}};
    out.role = Role::final_norm;  // any that is neither of the two
    if (tensor.name == arch::tensor_name(Kind::gguf, Role::embedding)) out.role = Role::embedding;
    if (tensor.name == arch::tensor_name(Kind::gguf, Role::head)) out.role = Role::head;
    for (const Role factors : {Role::rope_factors, Role::rope_factors_short, Role::rope_factors_long})
      if (tensor.name == arch::tensor_name(Kind::gguf, factors)) out.role = factors;
    out.is_matrix = tensor.rows() > 1 && tensor.name.ends_with(".weight");
    for (const char* numbers : {".ffn_gate_inp", "ssm_conv1d.", "shortconv.conv.", "_norm.", ".indexer.proj."})
      out.is_matrix &= tensor.name.find(numbers) == std::string::npos;
  }
  std::stable_partition(all.begin(), all.end(), [](const OutputTensor& t) { return is_rope_factors(t.role); });
  return all;
}

}  // namespace moe::inline MOE_ABI::convert

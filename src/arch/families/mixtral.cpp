// Mixtral: Llama's attention, softmax over all experts, top-k, weights renormalised. Source: arXiv:2401.04088, section 2;
// transformers, modeling_mixtral. intermediate_size is the width of one expert.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace mixtral {

constexpr TensorName kNames[] = {
    {Role::router, "model.layers.{l}.block_sparse_moe.gate.weight"},
    {Role::expert_gate, "model.layers.{l}.block_sparse_moe.experts.{e}.w1.weight"},
    {Role::expert_up, "model.layers.{l}.block_sparse_moe.experts.{e}.w3.weight"},
    {Role::expert_down, "model.layers.{l}.block_sparse_moe.experts.{e}.w2.weight"},
};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "mixtral");
  read_gqa(json, c);
  read_window_of_all(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.moe_intermediate_size = json.integer("intermediate_size", 1, kMaxWidth);
  c.router.expert_count = json.integer("num_local_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = true;
  return c;
}

}  // namespace mixtral

const Family kMixtral = {.name = "mixtral",
                         .gguf_architecture = "llama",
                         .hf_architecture = "MixtralForCausalLM",
                         .from_hf = mixtral::from_hf,
                         .from_gguf = nullptr,
                         .hf_names = mixtral::kNames,
                         .gguf_rope_pairs = true};

}  // namespace moe::inline MOE_ABI::arch

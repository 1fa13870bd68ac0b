// OLMoE: queries and keys normalised as whole vectors, every layer MoE, softmax top-k. Source: arXiv:2409.02060,
// section 2; transformers, modeling_olmoe. intermediate_size is the width of one expert.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace olmoe {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "olmoe");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::projection;
  c.moe_intermediate_size = json.integer("intermediate_size", 1, kMaxWidth);
  c.router.expert_count = json.integer("num_experts", 1, kMaxExperts);
  c.router.top_k = json.integer("num_experts_per_tok", 1, kMaxExperts);
  c.router.score = RouterScore::softmax;
  c.router.norm_topk_prob = json.boolean("norm_topk_prob");
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "olmoe");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::projection;
  read_experts(meta, "feed_forward_length", c);
  c.router.score = RouterScore::softmax;  // GGUF does not store norm_topk_prob here; every published model has it off
  return c;
}

}  // namespace olmoe

const Family kOlmoe = {.name = "olmoe",
                       .gguf_architecture = "olmoe",
                       .hf_architecture = "OlmoeForCausalLM",
                       .from_hf = olmoe::from_hf,
                       .from_gguf = olmoe::from_gguf};

}  // namespace moe::inline MOE_ABI::arch

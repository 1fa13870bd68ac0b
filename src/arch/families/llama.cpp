// Llama 1-3 and models that copy it (SmolLM2): GQA, half-split RoPE, dense SwiGLU. Source: transformers, modeling_llama.
// In GGUF, Mixtral is the same architecture with experts.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace llama {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "llama");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  const bool experts = meta.integer_or("expert_count", 0, 0, kMaxExperts) > 0;
  ModelConfig c = read_common(meta, experts ? "mixtral" : "llama");
  read_gqa(meta, c);
  // GGUF stores Llama's q and k rows permuted so that the rotated pairs are neighbours.
  read_rope(meta, RopeStyle::interleaved, c);
  if (!experts && meta.file().find(tensor_name(checkpoint::Kind::gguf, Role::router)) != nullptr)
    meta.refuse(ErrorCode::bad_config, "llama.expert_count is 0, expected more: the file holds routers");
  if (experts) {
    read_experts(meta, "feed_forward_length", c);
    c.router.score = RouterScore::softmax;
    c.router.norm_topk_prob = true;
    if (meta.integer_or("expert_shared_feed_forward_length", 0, 0, kMaxWidth) != 0)
      meta.refuse(ErrorCode::unsupported,
                  "llama.expert_shared_feed_forward_length is not 0, expected no shared expert");
  }
  return c;
}

}  // namespace llama

const Family kLlama = {.name = "llama",
                       .gguf_architecture = "llama",
                       .hf_architecture = "LlamaForCausalLM",
                       .from_hf = llama::from_hf,
                       .from_gguf = llama::from_gguf,
                       .gguf_rope_pairs = true};

}  // namespace moe::inline MOE_ABI::arch

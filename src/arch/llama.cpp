// Llama 1-3 and models that copy it (SmolLM2): GQA, half-split RoPE, dense SwiGLU. Source: transformers, modeling_llama.
#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "llama");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  full_attention_only(json);
  c.qkv_bias = c.o_bias = json.boolean_or("attention_bias", false);
  refuse_true(json, {"mlp_bias"});
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "llama");
  ModelConfig c = read_common(meta, "llama");
  read_gqa(meta, c);
  // GGUF stores Llama's q and k rows permuted so that the rotated pairs are neighbours.
  read_rope(meta, RopeStyle::interleaved, c);
  if (meta.integer_or("expert_count", 0, 0, kMaxExperts) != 0)
    meta.refuse(ErrorCode::unsupported, "llama.expert_count is not 0: Mixtral in GGUF is not supported yet");
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kLlama = {"llama", "llama", "LlamaForCausalLM", from_hf, from_gguf};

}  // namespace moe::inline MOE_ABI::arch

// Qwen2 and Qwen2.5 (dense): Llama with biases on q, k and v. Source: transformers, modeling_qwen2.
#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen2");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = true;
  full_attention_only(json);
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "qwen2");
  ModelConfig c = read_common(meta, "qwen2");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_qkv_bias(meta, c);
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kQwen2 = {"qwen2", "qwen2", "Qwen2ForCausalLM", from_hf, from_gguf};

}  // namespace moe::inline MOE_ABI::arch

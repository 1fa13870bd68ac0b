// Qwen3 (dense): per-head RMSNorm of q and k before RoPE, explicit head_dim. Source: Qwen3 report (arXiv:2505.09388), section 2.
#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen3");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  full_attention_only(json);
  c.qkv_bias = c.o_bias = json.boolean_or("attention_bias", false);
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "qwen3");
  ModelConfig c = read_common(meta, "qwen3");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kQwen3 = {"qwen3", "qwen3", "Qwen3ForCausalLM", from_hf, from_gguf};

}  // namespace moe::inline MOE_ABI::arch

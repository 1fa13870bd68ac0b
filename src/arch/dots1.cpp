// dots.llm1: Qwen3's attention (q and k norm per head before RoPE) with DeepSeek-V3's routing and shared experts.
// Source: arXiv:2506.05767, section 2; transformers, modeling_dots1.
#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "dots1");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  read_noaux_tc(json, false, c);
  full_attention_only(json);
  if (json.has("sliding_window"))
    json.refuse(ErrorCode::unsupported, "config.json: sliding_window is set, which libmoe does not support here");
  c.qkv_bias = c.o_bias = json.boolean_or("attention_bias", false);
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "dots1");
  ModelConfig c = read_common(meta, "dots1");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  read_noaux_tc(meta, c);
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

}  // namespace

const Family kDots1 = {"dots1", "dots1", "Dots1ForCausalLM", from_hf, from_gguf};

}  // namespace moe::inline MOE_ABI::arch

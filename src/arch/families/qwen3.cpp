// Qwen3 (dense): per-head RMSNorm of q and k before RoPE, explicit head_dim. Source: Qwen3 report (arXiv:2505.09388), section 2.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace qwen3 {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen3");
  read_gqa(json, c);
  read_upper_windows(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "qwen3");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  return c;
}

}  // namespace qwen3

const Family kQwen3 = {.name = "qwen3",
                       .gguf_architecture = "qwen3",
                       .hf_architecture = "Qwen3ForCausalLM",
                       .from_hf = qwen3::from_hf,
                       .from_gguf = qwen3::from_gguf};

}  // namespace moe::inline MOE_ABI::arch

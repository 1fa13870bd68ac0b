// Qwen2 and Qwen2.5 (dense): Llama with biases on q, k and v. Source: transformers, modeling_qwen2.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace qwen2 {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "qwen2");
  read_gqa(json, c);
  read_upper_windows(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = true;
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "qwen2");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_qkv_bias(meta, c);
  return c;
}

}  // namespace qwen2

const Family kQwen2 = {.name = "qwen2",
                       .gguf_architecture = "qwen2",
                       .hf_architecture = "Qwen2ForCausalLM",
                       .from_hf = qwen2::from_hf,
                       .from_gguf = qwen2::from_gguf};

}  // namespace moe::inline MOE_ABI::arch

// dots.llm1: Qwen3's attention (q and k norm per head before RoPE) with DeepSeek-V3's routing and shared experts.
// Source: arXiv:2506.05767, section 2; transformers, modeling_dots1.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace dots1 {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "dots1");
  read_gqa(json, c);
  const std::int64_t first = json.integer("max_window_layers", 0, kMaxLayers);
  read_windows(
      json, json.has("sliding_window"), [&](std::int64_t l) { return l >= first; }, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  read_noaux_tc(json, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "dots1");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  c.qk_norm = QkNorm::head;
  read_noaux_tc(meta, c);
  return c;
}

}  // namespace dots1

const Family kDots1 = {.name = "dots1",
                       .gguf_architecture = "dots1",
                       .hf_architecture = "Dots1ForCausalLM",
                       .from_hf = dots1::from_hf,
                       .from_gguf = dots1::from_gguf};

}  // namespace moe::inline MOE_ABI::arch

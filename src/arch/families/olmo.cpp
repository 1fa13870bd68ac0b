// OLMo 2 and OLMo 3: norms after attention and FFN instead of before; q and k are normalised as whole vectors. OLMo 3
// has windows in three layers of four, and YaRN only in the others. GGUF's `olmo2` is used for both.
// Source: OLMo 2 report (arXiv:2501.00656), section 3; transformers, modeling_olmo2 and modeling_olmo3.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace olmo {

constexpr TensorName kNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_feedforward_layernorm.weight"},
};

void set_norms(ModelConfig& c) {
  c.qk_norm = QkNorm::projection;
  c.pre_norms = false;
  c.post_norms = true;
}

ModelConfig read_olmo(const JsonConfig& json, std::string_view family) {
  ModelConfig c = read_common(json, family);
  read_gqa(json, c);
  c.qkv_bias = c.o_bias = json.boolean("attention_bias");
  set_norms(c);
  return c;
}

ModelConfig olmo2_from_hf(const JsonConfig& json) {
  ModelConfig c = read_olmo(json, "olmo2");
  read_rope(json, RopeStyle::half_split, c);
  return c;
}

ModelConfig olmo3_from_hf(const JsonConfig& json) {
  ModelConfig c = read_olmo(json, "olmo3");
  read_windows(
      json, true, [](std::int64_t l) { return (l + 1) % 4 != 0; }, c);
  read_layered_rope(json, "rope_theta", c);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "olmo2");
  read_gqa(meta, c);
  read_windows(meta, 4, c);
  read_rope(meta, RopeStyle::half_split, c);
  if (!c.sliding_layers.empty()) {
    c.family = "olmo3";
    RopeConfig sliding;
    sliding.theta = meta.number_or("rope.freq_base_swa", c.rope.theta);
    set_sliding_rope(sliding, c);
  }
  set_norms(c);
  return c;
}

}  // namespace olmo

const Family kOlmo2 = {.name = "olmo2",
                       .gguf_architecture = "olmo2",
                       .hf_architecture = "Olmo2ForCausalLM",
                       .from_hf = olmo::olmo2_from_hf,
                       .from_gguf = olmo::from_gguf,
                       .hf_names = olmo::kNames};
const Family kOlmo3 = {.name = "olmo3",
                       .gguf_architecture = "olmo2",
                       .hf_architecture = "Olmo3ForCausalLM",
                       .from_hf = olmo::olmo3_from_hf,
                       .from_gguf = nullptr,
                       .hf_names = olmo::kNames};

}  // namespace moe::inline MOE_ABI::arch

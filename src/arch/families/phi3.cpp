// Phi-3 and Phi-4 (mini, medium): Llama with q, k and v in one tensor, gate and up in another; a window in every layer,
// or none; LongRoPE: other divisors of the frequencies for sequences beyond the original context.
// Source: Phi-3 report (arXiv:2404.14219), section 2; LongRoPE (arXiv:2402.13753); transformers, modeling_phi3.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace phi3 {

constexpr TensorName kNames[] = {
    {Role::qkv, "model.layers.{l}.self_attn.qkv_proj.weight"},
    {Role::gate_up, "model.layers.{l}.mlp.gate_up_proj.weight"},
};
constexpr TensorName kGgufNames[] = {{Role::gate_up, "blk.{l}.ffn_up.weight"}};

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "phi3");
  read_gqa(json, c);
  read_window_of_all(json, c);
  read_partial_rotary(json, c);
  json.integer("original_max_position_embeddings", 1, kMaxPosition);  // has no effect without scaling
  read_rope(json, RopeStyle::half_split, c, OwnRope::longrope);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "phi3");
  read_gqa(meta, c);
  read_window_of_all(meta, c);
  read_partial_rotary(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  return c;
}

}  // namespace phi3

const Family kPhi3 = {.name = "phi3",
                      .gguf_architecture = "phi3",
                      .hf_architecture = "Phi3ForCausalLM",
                      .from_hf = phi3::from_hf,
                      .from_gguf = phi3::from_gguf,
                      .hf_names = phi3::kNames,
                      .gguf_names = phi3::kGgufNames};

}  // namespace moe::inline MOE_ABI::arch

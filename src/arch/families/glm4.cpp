// GLM-4-0414 (dense) and GLM-4.5 (MoE). Both rotate only the first part of a head: GLM-4 interleaved pairs, GLM-4.5
// halves. GLM-4 also normalises the outputs of attention and FFN, and fuses gate and up; GLM-4.5 routes as DeepSeek-V3.
// Source: GLM-4.5 report (arXiv:2508.06471), section 2.1; transformers, modeling_glm4 and modeling_glm4_moe.
#include "arch/common_fields.hpp"
#include "arch/experts.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace glm4 {

// Despite its name, post_attention_layernorm is the norm before the FFN.
constexpr TensorName kDenseNames[] = {
    {Role::post_attention_norm, "model.layers.{l}.post_self_attn_layernorm.weight"},
    {Role::post_ffn_norm, "model.layers.{l}.post_mlp_layernorm.weight"},
    {Role::gate_up, "model.layers.{l}.mlp.gate_up_proj.weight"},
};

ModelConfig read_glm(const JsonConfig& json, std::string_view family, RopeStyle style) {
  ModelConfig c = read_common(json, family);
  read_gqa(json, c);
  read_partial_rotary(json, c);
  read_rope(json, style, c);
  c.qkv_bias = json.boolean("attention_bias");
  return c;
}

ModelConfig dense_from_hf(const JsonConfig& json) {
  ModelConfig c = read_glm(json, "glm4", RopeStyle::interleaved);
  c.post_norms = true;
  return c;
}

ModelConfig moe_from_hf(const JsonConfig& json) {
  ModelConfig c = read_glm(json, "glm4_moe", RopeStyle::half_split);
  if (json.boolean("use_qk_norm")) c.qk_norm = QkNorm::head;
  read_noaux_tc(json, c);
  c.mtp_layer_count = json.integer("num_nextn_predict_layers", 0, 16);
  return c;
}

ModelConfig read_glm(GgufConfig& meta, std::string_view family, RopeStyle style) {
  ModelConfig c = read_common(meta, family);
  read_gqa(meta, c);
  read_partial_rotary(meta, c);
  read_rope(meta, style, c);
  read_qkv_bias(meta, c);
  return c;
}

ModelConfig dense_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_glm(meta, "glm4", RopeStyle::interleaved);
  c.post_norms = true;
  return c;
}

ModelConfig moe_from_gguf(GgufConfig& meta) {
  ModelConfig c = read_glm(meta, "glm4_moe", RopeStyle::half_split);
  for (const Role norm : {Role::q_norm, Role::k_norm})  // the 355B has both, Air neither
    if (meta.file().find(tensor_name(checkpoint::Kind::gguf, norm)) != nullptr) c.qk_norm = QkNorm::head;
  read_noaux_tc(meta, c);
  return c;
}

constexpr TensorName kDenseGgufNames[] = {{Role::gate_up, "blk.{l}.ffn_up.weight"}};
// GGUF uses Hugging Face's name for the norm before the FFN.
constexpr TensorName kMoeGgufNames[] = {{Role::ffn_norm, "blk.{l}.post_attention_norm.weight"}};

}  // namespace glm4

const Family kGlm4 = {.name = "glm4",
                      .gguf_architecture = "glm4",
                      .hf_architecture = "Glm4ForCausalLM",
                      .from_hf = glm4::dense_from_hf,
                      .from_gguf = glm4::dense_from_gguf,
                      .hf_names = glm4::kDenseNames,
                      .gguf_names = glm4::kDenseGgufNames};
const Family kGlm4Moe = {.name = "glm4_moe",
                         .gguf_architecture = "glm4moe",
                         .hf_architecture = "Glm4MoeForCausalLM",
                         .from_hf = glm4::moe_from_hf,
                         .from_gguf = glm4::moe_from_gguf,
                         .gguf_names = glm4::kMoeGgufNames,
                         .has_mtp = true};

}  // namespace moe::inline MOE_ABI::arch

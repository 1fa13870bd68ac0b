// Seed-OSS: Llama with biases on q, k and v but not on o, explicit head_dim. Source: transformers, modeling_seed_oss.
#include "arch/common.hpp"
#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

Result<ModelConfig> from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "seed_oss");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  full_attention_only(json);
  c.qkv_bias = json.boolean_or("attention_bias", true);
  c.o_bias = json.boolean_or("attention_out_bias", false);
  refuse_true(json, {"mlp_bias"});
  if (auto ok = json.status(); !ok) return forward(ok);
  return c;
}

Result<ModelConfig> from_gguf(const checkpoint::Checkpoint& file) {
  GgufConfig meta(file, "seed_oss");
  ModelConfig c = read_common(meta, "seed_oss");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_qkv_bias(meta, c);
  if (auto ok = meta.status(); !ok) return forward(ok);
  return c;
}

// GGUF keeps Hugging Face's name for the norm before the FFN.
constexpr TensorName kGgufNames[] = {{Role::ffn_norm, "blk.{l}.post_attention_norm.weight"}};

}  // namespace

const Family kSeedOss = {"seed_oss", "seed_oss", "SeedOssForCausalLM", from_hf, from_gguf, {}, false, kGgufNames};

}  // namespace moe::inline MOE_ABI::arch

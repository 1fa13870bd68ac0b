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

}  // namespace

const Family kSeedOss = {"seed_oss", "", "SeedOssForCausalLM", from_hf, nullptr};

}  // namespace moe::inline MOE_ABI::arch

// Seed-OSS: Llama with biases on q, k and v but not on o, explicit head_dim. Source: transformers, modeling_seed_oss.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace seed_oss {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "seed_oss");
  read_gqa(json, c);
  read_rope(json, RopeStyle::half_split, c);
  c.qkv_bias = json.boolean("attention_bias");
  c.o_bias = json.boolean("attention_out_bias");
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "seed_oss");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::half_split, c);
  read_qkv_bias(meta, c);
  return c;
}

// GGUF uses Hugging Face's name for the norm before the FFN.
constexpr TensorName kGgufNames[] = {{Role::ffn_norm, "blk.{l}.post_attention_norm.weight"}};

}  // namespace seed_oss

const Family kSeedOss = {.name = "seed_oss",
                         .gguf_architecture = "seed_oss",
                         .hf_architecture = "SeedOssForCausalLM",
                         .from_hf = seed_oss::from_hf,
                         .from_gguf = seed_oss::from_gguf,
                         .gguf_names = seed_oss::kGgufNames};

}  // namespace moe::inline MOE_ABI::arch

// ERNIE 4.5 (dense, 0.3B): Llama with interleaved RoPE. Source: transformers, modeling_ernie4_5.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"

namespace moe::inline MOE_ABI::arch {
namespace ernie4_5 {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "ernie4_5");
  read_gqa(json, c);
  read_rope(json, RopeStyle::interleaved, c);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "ernie4_5");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::interleaved, c);
  return c;
}

}  // namespace ernie4_5

const Family kErnie = {.name = "ernie4_5",
                       .gguf_architecture = "ernie4_5",
                       .hf_architecture = "Ernie4_5ForCausalLM",
                       .from_hf = ernie4_5::from_hf,
                       .from_gguf = ernie4_5::from_gguf,
                       .hf_other_architecture = "Ernie4_5_ForCausalLM"};  // ERNIE's own exports

}  // namespace moe::inline MOE_ABI::arch

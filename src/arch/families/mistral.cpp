// Mistral 7B and models like it: Llama with a window in every layer, or none. Source: arXiv:2310.06825, section 2;
// transformers, modeling_mistral. GGUF files of it are Llama's.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace mistral {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "mistral");
  read_gqa(json, c);
  read_window_of_all(json, c);
  read_rope(json, RopeStyle::half_split, c);
  return c;
}

}  // namespace mistral

const Family kMistral = {.name = "mistral",
                         .gguf_architecture = "llama",
                         .hf_architecture = "MistralForCausalLM",
                         .from_hf = mistral::from_hf,
                         .from_gguf = nullptr,
                         .gguf_rope_pairs = true};

}  // namespace moe::inline MOE_ABI::arch

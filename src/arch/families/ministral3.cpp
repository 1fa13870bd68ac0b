// Ministral 3 (and Mistral Small 4's text models of that kind): Mistral with YaRN without scaled cosines, and
// queries that grow with the position beyond the original context. GGUF's `mistral3` is also used for plain Mistral in
// the same wrapper. Source: transformers, modeling_ministral3.
#include "arch/common_fields.hpp"
#include "arch/family.hpp"
#include "arch/grouped_query.hpp"
#include "arch/limits.hpp"
#include "arch/rope.hpp"
#include "arch/sliding_window.hpp"

namespace moe::inline MOE_ABI::arch {
namespace ministral3 {

ModelConfig from_hf(const JsonConfig& json) {
  ModelConfig c = read_common(json, "ministral3");
  read_gqa(json, c);
  read_window_of_all(json, c);
  read_rope(json, RopeStyle::half_split, c);
  const JsonConfig rope = rope_block(json);
  // The class's base of 1e6 stands in the block that it makes where the file has none.
  const bool given =
      !json.object("rope_scaling").empty() || (json.in_file("rope_parameters") && json.has("rope_parameters"));
  if (given && !rope.in_file("rope_theta") && !json.in_file("rope_theta")) c.rope.theta = 1e4;
  rope.in_file("max_position_embeddings");  // a copy of the model's value, written by the class
  c.rope.query_growth = rope.number_or("llama_4_scaling_beta", 0.0);
  if (c.rope.query_growth != 0.0)
    c.rope.original_max_position = rope.integer("original_max_position_embeddings", 1, kMaxPosition);
  return c;
}

ModelConfig from_gguf(GgufConfig& meta) {
  ModelConfig c = read_common(meta, "ministral3");
  read_gqa(meta, c);
  read_rope(meta, RopeStyle::interleaved, c);
  c.rope.query_growth = meta.number_or("attention.temperature_scale", 0.0);
  if (c.rope.query_growth != 0.0)
    c.rope.original_max_position = meta.integer("rope.scaling.original_context_length", 1, kMaxPosition);
  return c;
}

}  // namespace ministral3

const Family kMinistral3 = {.name = "ministral3",
                            .gguf_architecture = "mistral3",
                            .hf_architecture = "Ministral3ForCausalLM",
                            .from_hf = ministral3::from_hf,
                            .from_gguf = ministral3::from_gguf,
                            .gguf_rope_pairs = true};

}  // namespace moe::inline MOE_ABI::arch

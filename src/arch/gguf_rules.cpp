// Keys of "<architecture>." metadata that change the arithmetic of some model, and keys that never do.
#include "arch/computed_values.hpp"
#include "arch/unread_rules.hpp"

namespace moe::inline MOE_ABI::arch {
namespace gguf_table {

using namespace computed_values;

std::string gating(const ModelConfig& c) {
  switch (c.router.score) {
    case RouterScore::softmax: return one(1);
    case RouterScore::sigmoid: return one(2);
    case RouterScore::chosen_softmax: return one(3);
  }
  return "[]";
}

std::string indexer_types(const ModelConfig& c) {
  return one(std::vector<bool>(c.indexer.top_k > 0 ? static_cast<std::size_t>(c.layer_count) : 0, true));
}

constexpr UnreadRule kRules[] = {
    {"attention.causal", "[true]"},
    {"attention.max_alibi_bias", "[0]"},
    {"attention.clamp_kqv", "[0]"},
    {"attention.scale", "[0]", softmax_scale},
    {"attention.output_scale", "[0, 1]"},
    {"attention.temperature_*", "[0]", other_families},
    {"attention.sliding_window", "[0]", window},
    {"attention.key_length_swa", "[]", head_dim},
    {"attention.value_length_swa", "[]", head_dim},
    {"attention.shared_kv_layers", "[0]"},
    {"attention.relative_buckets_count", "[0]"},
    {"attention.indexer.types", "[]", indexer_types},
    {"attention.indexer.*", "[0]", other_families},
    {"attention.kv_lora_rank", "[0]", other_families},
    {"attention.q_lora_rank", "[0]", other_families},
    {"attention.group_norm_*", "[]"},
    {"*softcap*", "[0]"},
    {"logit_scale", "[0, 1]"},
    {"residual_scale", "[0, 1]"},
    {"embedding_scale", "[0]", embedding_scale},
    {"embedding_length_per_layer_input", "[0]"},
    {"use_parallel_residual", "[false]"},
    {"rescale_every_n_layers", "[0]"},
    {"swin_norm", "[false]"},
    {"activation_sparsity_scale", "[]"},
    {"altup.*", "[]"},
    {"swiglu_clamp_*", "[0]"},
    {"rope.dimension_sections", "[[], [0, 0, 0, 0]]"},
    {"rope.dimension_count_swa", "[]", rotated_dim},
    {"rope.freq_base_swa", "[]", sliding_theta},
    {"rope.scaling.alpha", "[0, 1]"},
    {"rope.scaling.attn_factor", "[0, 1]", other_families},
    {"rope.scaling.yarn_attn_factor", "[0, 1]", other_families},
    {"rope.scaling.yarn_ext_factor", "[1, -1]"},
    {"rope.scaling.yarn_log_multiplier", "[0]", other_families},
    {"full_attention_interval", "[0, 1]"},
    {"ssm.*", "[0]"},
    {"shortconv.*", "[0]"},
    {"wkv.*", "[0]"},
    {"kda.*", "[0]"},
    {"expert_count", "[0]", expert_count},
    {"expert_used_count", "[0]", top_k, kMoe},
    {"expert_feed_forward_length", "[0]", expert_width, kMoe},
    {"expert_shared_count", "[]", shared_count, kMoe},
    {"expert_shared_feed_forward_length", "[]", shared_width, kMoe},
    {"expert_chunk_feed_forward_length", "[0]", nullptr, kMoe},
    {"expert_group_count", "[0]", group_count, kMoe},
    {"expert_group_used_count", "[0]", topk_group, kMoe},
    {"expert_weights_norm", "[]", norm_topk, kMoe},
    {"expert_weights_scale", "[0]", routed_scale, kMoe},
    {"expert_gating_func", "[0]", gating, kMoe, "[1, 2, 3]"},
    {"expert_group_scale", "[0, 1]", nullptr, kMoe},
    {"leading_dense_block_count", "[]", dense_layers, kMoe},
    {"interleave_moe_layer_step", "[0, 1]", nullptr, kMoe, "[1]"},
    {"moe_every_n_layers", "[0, 1]", nullptr, kMoe},
    {"moe_latent_size", "[0]", nullptr, kMoe},
    {"nextn_predict_layers", "[0]"},
};

constexpr std::string_view kNeverMatters[] = {
    "vocab_size",                            // taken from the embedding's rows
    "tensor_data_layout",                    // of q and k, which the architecture decides
    "rope.scaling.finetuned",                // a remark
    "rope.scaling.original_context_length",  // of rules that scale nothing
};

constexpr std::string_view kOutsideNeverMatters[] = {
    // read with the header
    "general.architecture", "general.alignment", "split.no", "split.count", "split.tensors.count",
    // names and origins
    "general.name", "general.basename", "general.finetune", "general.version", "general.size_label", "general.author",
    "general.organization", "general.description", "general.license*", "general.url", "general.repo_url", "general.doi",
    "general.uuid", "general.source.*", "general.base_model.*", "general.dataset*", "general.tags", "general.languages",
    "general.parameter_count", "general.quantized_by", "general.type",
    // how it was quantised: each tensor has its own type
    "general.file_type", "general.quantization_version", "quantize.imatrix.*",
    "tokenizer.ggml.add_sep_token",  // between the texts of a pair
};

}  // namespace gguf_table

std::span<const std::string_view> gguf_outside_never_matters() { return gguf_table::kOutsideNeverMatters; }
std::span<const UnreadRule> gguf_rules() { return gguf_table::kRules; }
std::span<const std::string_view> gguf_never_matters() { return gguf_table::kNeverMatters; }

}  // namespace moe::inline MOE_ABI::arch

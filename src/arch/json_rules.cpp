// Keys of config.json that change the arithmetic of some model, and keys that never do.
#include <vector>

#include "arch/computed_values.hpp"
#include "arch/unread_rules.hpp"

namespace moe::inline MOE_ABI::arch {
namespace json_table {

using namespace computed_values;

// Values that this model computes with, as written in files.
std::string qkv_bias(const ModelConfig& c) { return one(c.qkv_bias); }
std::string o_bias(const ModelConfig& c) { return one(c.o_bias); }
std::string interleaved(const ModelConfig& c) { return one(c.rope.style == RopeStyle::interleaved); }
std::string is_mla(const ModelConfig& c) { return one(c.attention == AttentionKind::mla); }
std::string v_head_dim(const ModelConfig& c) { return one(c.v_head_dim); }
std::string rope_dim_of_mla(const ModelConfig& c) { return one(c.qk_rope_head_dim); }
std::string head_count(const ModelConfig& c) { return one(c.head_count); }
std::string kv_head_count(const ModelConfig& c) { return one(c.kv_head_count); }
std::string theta(const ModelConfig& c) { return one(c.rope.theta); }
std::string query_scalar(const ModelConfig& c) { return one(1.0 / (c.softmax_scale * c.softmax_scale)); }
std::string residual_scale(const ModelConfig& c) { return one(c.residual_scale); }
std::string logit_divisor(const ModelConfig& c) { return one(c.logit_divisor); }
std::string has_qk_norm(const ModelConfig& c) { return one(c.qk_norm != QkNorm::none); }
std::string has_post_norms(const ModelConfig& c) { return one(c.post_norms); }
std::string has_sinks(const ModelConfig& c) { return one(c.attention_sinks); }
std::string rms_norm_eps(const ModelConfig& c) { return one(c.rms_norm_eps); }
std::string slides(const ModelConfig& c) { return one(!c.sliding_layers.empty()); }
std::string activation(const ModelConfig& c) {
  if (c.activation == Activation::relu_square) return R"(["relu2"])";
  return c.activation == Activation::gelu_tanh ? R"(["gelu_pytorch_tanh"])" : R"(["silu", "swish"])";
}
std::string swiglu_limit(const ModelConfig& c) {
  return one(c.activation == Activation::swiglu_clamped ? c.swiglu_limit : 0.0);
}

template <class Of>
std::string per_layer(const ModelConfig& c, Of of) {
  std::vector<decltype(of(0))> list;
  for (std::int64_t l = 0; l < c.layer_count; ++l) list.push_back(of(l));
  return one(list);
}
std::string layer_types(const ModelConfig& c) {
  if (c.indexer.top_k > 0) {
    const auto count = static_cast<std::size_t>(c.layer_count);
    const std::vector<std::string> one_name(count, "indexed_attention"), other(count, "deepseek_sparse_attention");
    return JsonWriter().begin('[').value(one_name).value(other).close(']').take();
  }
  return per_layer(c, [&](std::int64_t l) { return c.window(l) > 0 ? "sliding_attention" : "full_attention"; });
}
std::string mlp_layer_types(const ModelConfig& c) {
  return per_layer(c, [&](std::int64_t l) { return c.layer_is_moe(l) ? "sparse" : "dense"; });
}
std::string all_ones(const ModelConfig& c) {
  return per_layer(c, [](std::int64_t) { return 1; });
}
std::string moe_layer_flags(const ModelConfig& c) {
  return per_layer(c, [&](std::int64_t l) { return c.layer_is_moe(l) ? 1 : 0; });
}

std::string score_name(const ModelConfig& c) {
  return one(c.router.score == RouterScore::sigmoid ? "sigmoid" : "softmax");
}
/// dots.llm1's published config.json names the method here.
std::string scoring_func(const ModelConfig& c) {
  const bool names_method = c.router.score == RouterScore::sigmoid && c.router.selection_bias;
  return names_method ? R"(["sigmoid", "noaux_tc"])" : score_name(c);
}
std::string topk_method(const ModelConfig& c) {
  return one(c.router.selection_bias ? "noaux_tc" : c.router.group_count > 1 ? "group_limited_greedy" : "greedy");
}
std::string has_selection_bias(const ModelConfig& c) { return one(c.router.selection_bias); }
std::string mlp_only(const ModelConfig& c) { return one(c.mlp_only_layers); }

std::string indexer_interleaved(const ModelConfig& c) {
  return c.indexer.top_k > 0 ? one(c.indexer.rope_style == RopeStyle::interleaved) : "[]";
}
std::string indexer_types(const ModelConfig& c) {
  if (c.indexer.top_k == 0) return "[]";
  return per_layer(c, [&](std::int64_t l) { return c.has_indexer(l) ? "full" : "shared"; });
}

constexpr auto kRefuse = Otherwise::refuse;
constexpr auto kShow = Otherwise::show;

// What families compute: UnreadRule::some_family.
constexpr std::string_view kActivations = R"(["silu", "swish", "gelu_pytorch_tanh", "relu2"])";
constexpr std::string_view kScores = R"(["softmax", "sigmoid", "noaux_tc"])";
constexpr std::string_view kMethods = R"(["greedy", "group_limited_greedy", "noaux_tc"])";

constexpr UnreadRule kRules[] = {
    // attention
    {"attention_bias", "[false]", qkv_bias},
    {"qkv_bias", "[false]", qkv_bias},
    {"use_qkv_bias", "[false]", qkv_bias},
    {"add_qkv_bias", "[false]", qkv_bias},
    {"attention_out_bias", "[false]", o_bias},
    {"attention_output_bias", "[false]", o_bias},
    {"o_bias", "[false]", o_bias},
    {"use_bias", "[false]"},
    {"bias", "[false]"},
    {"mlp_bias", "[false]"},
    {"ffn_bias", "[false]"},
    {"add_bias_linear", "[false]"},
    {"lm_head_bias", "[false]"},
    {"head_dim", "[]", rope_dim_of_mla, kShow},  // of MLA; other families read it
    {"qk_head_dim", "[]", head_dim},
    {"v_head_dim", "[]", v_head_dim, kShow},  // this and the ranks: of a switched-off use_mla, as Hunyuan has it
    {"num_key_value_heads", "[]", head_count, kShow},  // MLA has no such heads
    {"kv_lora_rank", "[0]", nullptr, kShow},
    {"q_lora_rank", "[0]", nullptr, kShow},
    {"multi_query*", "[false]"},
    {"num_query_groups", "[]", kv_head_count},
    {"use_mla", "[]", is_mla},
    {"use_cla", "[false]"},
    {"cla_share_factor", "[0, 1, 2]", nullptr, kShow},  // of use_cla
    {"num_kv_shared_layers", "[0]"},
    {"cross_attention_layers", "[[]]"},
    {"add_cross_attention", "[false]"},
    {"is_encoder_decoder", "[false]"},
    {"is_causal", "[true]"},
    {"causal", "[true]"},
    {"use_bidirectional_attention", "[false]"},
    {"attention_k_eq_v", "[false]"},
    {"global_head_dim", "[]", head_dim},
    {"num_global_key_value_heads", "[]"},
    {"swa_*", "[false]"},
    {"sliding_window", "[0]", window},
    {"sliding_window_size", "[0]", window},
    {"use_sliding_window", "[false]", slides},
    {"sliding_window_pattern", "[]"},
    {"attention_chunk_size", "[0]"},
    {"layer_types", "[[]]", layer_types},
    {"index_topk_freq", "[0, 1]", other_families},
    {"index_*", "[]", other_families},
    {"indexer_rope_interleave", "[]", indexer_interleaved},
    {"indexer_types", "[]", indexer_types},
    {"indexer_*", "[]"},
    {"attention_sink*", "[false]", has_sinks},
    {"use_attention_sink*", "[false]", has_sinks},
    {"attn_output_gate", "[false]"},
    {"attention_output_gate", "[false]"},
    {"use_gated_attention", "[false]"},
    {"attn_temperature_tuning", "[false, 0]"},
    {"compress_*", "[]"},
    {"o_groups", "[]"},
    {"o_lora_rank", "[0]"},
    {"clip_qkv", "[0]"},
    {"*softcap*", "[0]"},
    {"*soft_cap*", "[0]"},
    {"*logit_cap*", "[0]"},
    {"use_logn_attn", "[false]"},
    {"use_dynamic_ntk", "[false]"},
    {"attention_multiplier", "[]", softmax_scale},
    {"softmax_scale", "[]", softmax_scale},
    {"attention_scale", "[]", softmax_scale},
    {"query_pre_attn_scalar", "[]", query_scalar},
    {"scale_attn_weights", "[true]"},
    {"scale_attention_by_inverse_layer_idx", "[false]"},
    {"pruned_heads", "[{}]"},
    // positions
    {"rope_interleave", "[]", interleaved},
    {"rope_interleaved", "[]", interleaved},
    {"use_interleaved_rope", "[]", interleaved},
    {"rotary_dim", "[]", rotated_dim},
    {"rotary_pct", "[1]"},
    {"rope_pct", "[1]"},
    {"rotary_emb_base", "[]", theta},
    {"rope_local_base_freq", "[]", sliding_theta},
    {"local_rope_theta", "[]", sliding_theta},
    {"global_rope_theta", "[]", theta},
    {"no_rope_layers", "[[]]", all_ones, kRefuse, "[[]]"},  // SmolLM3's: without other changes in those layers
    {"no_rope_layer_interval", "[0]", other_families},
    {"nope_layer_interval", "[0]"},
    {"use_rope", "[true]"},
    {"use_rotary_pos_emb", "[true]"},
    {"position_embedding_type", "[\"rope\", \"rotary\"]"},
    {"position_embedding_xdrope", "[false]"},
    {"alibi*", "[false, 0]"},
    {"use_alibi", "[false]"},
    // norms, scales, branches
    {"use_qk_norm", "[]", has_qk_norm},
    {"qk_norm", "[]", has_qk_norm},
    {"qk_layernorm", "[]", has_qk_norm},
    {"use_qk_layernorm", "[]", has_qk_norm},
    {"norm_type", "[\"rms\", \"rmsnorm\", \"RMSNorm\", \"rms_norm\"]"},
    {"use_rms_norm", "[true]"},
    {"use_post_norm", "[]", has_post_norms},
    {"post_norm", "[]", has_post_norms},
    {"norm_after", "[false]"},
    {"layer_norm_eps", "[]", rms_norm_eps, kShow},
    {"layer_norm_epsilon", "[]", rms_norm_eps, kShow},
    {"norm_eps", "[]", rms_norm_eps, kShow},
    {"apply_residual_connection_post_layernorm", "[false]"},
    {"parallel_attention", "[false]"},
    {"parallel_attn", "[false]"},
    {"use_parallel_residual", "[false]"},
    {"residual_multiplier", "[1]", residual_scale},
    {"residual_scale", "[1]"},
    {"scale_depth", "[]"},
    {"dim_model_base", "[]"},
    {"scale_emb", "[]", embedding_scale},
    {"scale_embedding", "[false]"},
    {"embedding_multiplier", "[]", embedding_scale},
    {"embedding_scale", "[]", embedding_scale},
    {"logit_scale", "[1]"},
    {"logits_scaling", "[1]", logit_divisor},
    {"output_multiplier*", "[1]"},
    {"lm_head_multiplier", "[1]"},
    {"key_multiplier", "[1]"},
    {"mlp_multipliers", "[[1, 1]]"},
    {"attention_in_multiplier", "[1]"},
    {"attention_out_multiplier", "[1]"},
    {"mup_*", "[false, 1]"},
    {"use_mup", "[false]"},
    {"hidden_act", "[]", activation, kRefuse, kActivations},
    {"hidden_activation", "[]", activation, kRefuse, kActivations},
    {"activation_function", "[]", activation, kRefuse, kActivations},
    {"swiglu_limit*", "[0]", swiglu_limit},
    {"hc_*", "[]"},
    {"intermediate_size_mlp", "[]"},
    {"altup_*", "[]"},
    {"laurel_*", "[]"},
    {"activation_sparsity_pattern", "[]"},
    {"hidden_size_per_layer_input", "[0]"},
    {"use_double_wide_mlp", "[false]"},
    {"per_layer_config", "[{}]"},
    {"block_configs", "[[]]"},
    {"layers_block_type", "[[]]"},
    // mixers other than attention
    {"mamba_*", "[]"},
    {"ssm_*", "[]"},
    {"linear_*", "[]"},
    {"conv_L_cache", "[]"},
    {"full_attention_interval", "[1]"},
    {"full_attn_idxs", "[]"},
    {"attn_layer_*", "[]"},
    {"attn_type_list", "[]", all_ones},  // 1: softmax attention (MiniMax)
    {"qk_norm_type", "[\"per_layer\"]"},
    {"layernorm_full_attention_*", "[1]"},
    {"layernorm_linear_attention_*", "[1]"},
    {"layernorm_mlp_*", "[1]"},
    {"hybrid_override_pattern", "[]"},
    // experts
    {"num_experts", "[0, 1, false]", expert_count},
    {"num_local_experts", "[0, 1, false]", expert_count},
    {"n_routed_experts", "[0, 1, false]", expert_count},
    {"moe_num_experts", "[0, 1, false]", expert_count},
    {"enable_moe_block", "[false]"},
    {"num_experts_per_tok", "[]", top_k, kMoe},
    {"num_experts_per_token", "[]", top_k, kMoe},
    {"experts_per_token", "[]", top_k, kMoe},
    {"moe_topk", "[]", top_k, kMoe},
    {"moe_k", "[]", top_k, kMoe},
    {"moe_intermediate_size", "[]", expert_width, kMoe},
    {"expert_hidden_dim", "[]", expert_width},
    {"n_shared_experts", "[]", shared_count, kMoe},
    {"num_shared_experts", "[]", shared_count, kMoe},
    {"num_shared_expert", "[]", shared_count, kMoe},
    {"moe_num_shared_experts", "[]", shared_count, kMoe},
    {"shared_expert_intermediate_size", "[]", shared_width, kMoe},
    {"norm_topk_prob", "[]", norm_topk, kMoe},
    {"moe_renormalize", "[]", norm_topk, kMoe},
    {"routed_scaling_factor", "[]", routed_scale, kMoe},
    {"router_scaling_factor", "[]", routed_scale, kMoe},
    {"scoring_func", "[]", scoring_func, kMoe, kScores},
    {"score_function", "[]", score_name, kMoe, kScores},
    {"moe_router_activation_func", "[]", score_name, kMoe, kScores},
    {"topk_method", "[]", topk_method, kMoe, kMethods},
    {"n_group", "[]", group_count, kMoe},
    {"num_expert_group", "[]", group_count, kMoe},
    {"topk_group", "[]", topk_group, kMoe},
    {"group_limited_greedy", "[false]", nullptr, kMoe},
    {"use_routing_bias", "[]", has_selection_bias, kMoe},
    {"use_expert_bias", "[]", has_selection_bias, kMoe},
    {"moe_router_enable_expert_bias", "[]", has_selection_bias, kMoe},
    {"first_k_dense_replace", "[]", dense_layers, kMoe},
    {"num_dense_layers", "[]", dense_layers, kMoe},
    {"moe_layer_freq", "[1]", moe_layer_flags, kMoe},
    {"decoder_sparse_step", "[1]", nullptr, kMoe},
    {"moe_layer_interval", "[1]", nullptr, kMoe},
    {"interleave_moe_layer_step", "[1]", nullptr, kMoe, "[1]"},
    {"num_hash_layers", "[0]"},
    {"mlp_only_layers", "[]", mlp_only, kMoe},
    {"mlp_layer_types", "[[]]", mlp_layer_types},
    {"moe_gate", "[\"topk\"]", nullptr, kMoe},
    {"moe_layer_num_skipped", "[0]", nullptr, kMoe},
    {"shared_intermediate_size", "[0]", shared_width, kMoe},
    // weights
    {"compression_config", "[{}]"},
};

constexpr UnreadRule kRopeRules[] = {
    {"alpha", "[0, 1]"},
    {"llama_4_scaling_beta", "[0]"},
    {"partial_rotary_factor", "[1]"},
};

constexpr std::string_view kNeverMatters[] = {
    // names and versions
    "architectures", "model_type", "_name_or_path", "name_or_path", "transformers_version", "auto_map", "dtype",
    "torch_dtype", "_commit_hash", "_attn_implementation*", "attn_implementation", "_experts_implementation*",
    "_flash_attn_2_enabled", "use_flash_attn*", "use_cache", "cache_implementation", "use_bfloat16", "torchscript",
    "tokenizer_class", "unsloth_version", "unsloth_fixed", "return_dict", "output_attentions", "output_hidden_states",
    "output_router_logits", "chunk_size_feed_forward", "tie_encoder_decoder", "is_decoder", "_sliding_window_pattern",
    "pretraining_tp", "ep_size", "use_mtp", "num_mtp_modules", "mtp_transformer_layers", "mlp_intermediate_size",
    "shared_moe_mode",
    // training
    "initializer_range", "initializer_factor", "attention_dropout", "residual_dropout", "resid_pdrop", "embd_pdrop",
    "attn_pdrop", "hidden_dropout", "embedding_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob",
    "attn_dropout", "dropout", "classifier_dropout", "router_aux_loss_coef", "router_jitter_noise",
    "router_z_loss_coef", "aux_loss_alpha", "seq_aux", "moe_use_aux_free", "moe_capacity",
    "moe_random_routing_dropped_token", "moe_drop_tokens", "gradient_checkpointing", "initial_context_length",
    // texts and tasks
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "eod_token_id", "pad_id", "im_start_id",
    "im_end_id", "im_newline_id", "text_start_id", "text_end_id", "mask_init_id", "org_vocab_size",
    "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "suppress_tokens",
    "begin_suppress_tokens", "prefix", "finetuning_task", "task_specific_params", "problem_type", "id2label",
    "label2id", "num_labels",
    // generation
    "do_sample", "temperature", "top_k", "top_p", "typical_p", "max_length", "min_length", "max_new_tokens",
    "num_beams", "num_beam_groups", "diversity_penalty", "early_stopping", "length_penalty", "repetition_penalty",
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "num_return_sequences", "output_scores",
    "return_dict_in_generate", "remove_invalid_values", "exponential_decay_length_penalty", "tf_legacy_loss",
    // the tensors show which weights are not quantised; activations stay float
    "quantization_config.modules_to_not_convert", "quantization_config.ignored_layers",
    "quantization_config.activation_scheme", "quantization_config.scale_fmt",
    // compressed-tensors: which modules have a scheme, how it was found, activations and cache
    "quantization_config.config_groups.*", "quantization_config.ignore", "quantization_config.quantization_status",
    "quantization_config.kv_cache_scheme", "quantization_config.global_compression_ratio",
    "quantization_config.version", "quantization_config.sparsity_config.*", "quantization_config.sparsity_config",
    // GPTQ and AWQ: how the codes were found; the tensors show zero points
    "quantization_config.sym", "quantization_config.damp_percent", "quantization_config.true_sequential",
    "quantization_config.static_groups", "quantization_config.meta*", "quantization_config.model_*",
    "quantization_config.quantizer", "quantization_config.dynamic*", "quantization_config.lm_head",
    "quantization_config.zero_point", "quantization_config.do_fuse", "quantization_config.fuse_max_seq_len",
    "quantization_config.modules_to_fuse", "quantization_config.exllama_config", "quantization_config.use_exllama",
    "quantization_config.max_input_length", "quantization_config.dataset", "quantization_config.tokenizer",
    "quantization_config.batch_size", "quantization_config.block_name_to_quantize",
    "quantization_config.module_name_preceding_first_block", "quantization_config.modules_in_block_to_quantize",
    "quantization_config.use_cuda_fp16", "quantization_config.cache_block_outputs",
    "quantization_config.is_marlin_format", "quantization_config.damp_auto_increment", "quantization_config.mse",
    "quantization_config.backend", "quantization_config.pad_token_id"};

}  // namespace json_table

std::span<const UnreadRule> json_rules() { return json_table::kRules; }
std::span<const UnreadRule> json_rope_rules() { return json_table::kRopeRules; }
std::span<const std::string_view> json_never_matters() { return json_table::kNeverMatters; }

}  // namespace moe::inline MOE_ABI::arch

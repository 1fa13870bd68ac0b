// Tensor names of most checkpoints, in Hugging Face and GGUF files. A family with other names lists them in
// Family::hf_names or gguf_names.
#include <fmt/format.h>

#include "arch/family.hpp"

namespace moe::inline MOE_ABI::arch {
namespace {

constexpr TensorName kHfNames[] = {
    {Role::embedding, "model.embed_tokens.weight"},
    {Role::final_norm, "model.norm.weight"},
    {Role::head, "lm_head.weight"},
    {Role::attention_norm, "model.layers.{l}.input_layernorm.weight"},
    {Role::q, "model.layers.{l}.self_attn.q_proj.weight"},
    {Role::k, "model.layers.{l}.self_attn.k_proj.weight"},
    {Role::v, "model.layers.{l}.self_attn.v_proj.weight"},
    {Role::o, "model.layers.{l}.self_attn.o_proj.weight"},
    {Role::q_bias, "model.layers.{l}.self_attn.q_proj.bias"},
    {Role::k_bias, "model.layers.{l}.self_attn.k_proj.bias"},
    {Role::v_bias, "model.layers.{l}.self_attn.v_proj.bias"},
    {Role::o_bias, "model.layers.{l}.self_attn.o_proj.bias"},
    {Role::q_norm, "model.layers.{l}.self_attn.q_norm.weight"},
    {Role::k_norm, "model.layers.{l}.self_attn.k_norm.weight"},
    {Role::q_a, "model.layers.{l}.self_attn.q_a_proj.weight"},
    {Role::q_a_norm, "model.layers.{l}.self_attn.q_a_layernorm.weight"},
    {Role::q_b, "model.layers.{l}.self_attn.q_b_proj.weight"},
    {Role::kv_a, "model.layers.{l}.self_attn.kv_a_proj_with_mqa.weight"},
    {Role::kv_a_norm, "model.layers.{l}.self_attn.kv_a_layernorm.weight"},
    {Role::kv_b, "model.layers.{l}.self_attn.kv_b_proj.weight"},
    {Role::index_q, "model.layers.{l}.self_attn.indexer.wq_b.weight"},
    {Role::index_k, "model.layers.{l}.self_attn.indexer.wk.weight"},
    {Role::index_k_norm, "model.layers.{l}.self_attn.indexer.k_norm.weight"},
    {Role::index_k_norm_bias, "model.layers.{l}.self_attn.indexer.k_norm.bias"},
    {Role::index_weights, "model.layers.{l}.self_attn.indexer.weights_proj.weight"},
    {Role::ffn_norm, "model.layers.{l}.post_attention_layernorm.weight"},
    {Role::gate, "model.layers.{l}.mlp.gate_proj.weight"},
    {Role::up, "model.layers.{l}.mlp.up_proj.weight"},
    {Role::down, "model.layers.{l}.mlp.down_proj.weight"},
    {Role::router, "model.layers.{l}.mlp.gate.weight"},
    {Role::router_bias, "model.layers.{l}.mlp.gate.e_score_correction_bias"},
    {Role::expert_gate, "model.layers.{l}.mlp.experts.{e}.gate_proj.weight"},
    {Role::expert_up, "model.layers.{l}.mlp.experts.{e}.up_proj.weight"},
    {Role::expert_down, "model.layers.{l}.mlp.experts.{e}.down_proj.weight"},
    {Role::shared_gate, "model.layers.{l}.mlp.shared_experts.gate_proj.weight"},
    {Role::shared_up, "model.layers.{l}.mlp.shared_experts.up_proj.weight"},
    {Role::shared_down, "model.layers.{l}.mlp.shared_experts.down_proj.weight"},
    {Role::mtp_embedding, "model.layers.{l}.embed_tokens.weight"},
    {Role::mtp_head, "model.layers.{l}.shared_head.head.weight"},
    {Role::mtp_norm, "model.layers.{l}.shared_head.norm.weight"},
    {Role::mtp_embedding_norm, "model.layers.{l}.enorm.weight"},
    {Role::mtp_state_norm, "model.layers.{l}.hnorm.weight"},
    {Role::mtp_projection, "model.layers.{l}.eh_proj.weight"},
};

constexpr TensorName kGgufNames[] = {
    {Role::embedding, "token_embd.weight"},
    {Role::final_norm, "output_norm.weight"},
    {Role::head, "output.weight"},
    {Role::rope_factors, "rope_freqs.weight"},
    {Role::rope_factors_short, "rope_factors_short.weight"},
    {Role::rope_factors_long, "rope_factors_long.weight"},
    {Role::attention_norm, "blk.{l}.attn_norm.weight"},
    {Role::q, "blk.{l}.attn_q.weight"},
    {Role::k, "blk.{l}.attn_k.weight"},
    {Role::v, "blk.{l}.attn_v.weight"},
    {Role::o, "blk.{l}.attn_output.weight"},
    {Role::q_bias, "blk.{l}.attn_q.bias"},
    {Role::k_bias, "blk.{l}.attn_k.bias"},
    {Role::v_bias, "blk.{l}.attn_v.bias"},
    {Role::o_bias, "blk.{l}.attn_output.bias"},
    {Role::qkv, "blk.{l}.attn_qkv.weight"},
    {Role::qkv_bias, "blk.{l}.attn_qkv.bias"},
    {Role::sinks, "blk.{l}.attn_sinks.weight"},
    {Role::q_norm, "blk.{l}.attn_q_norm.weight"},
    {Role::k_norm, "blk.{l}.attn_k_norm.weight"},
    {Role::q_a, "blk.{l}.attn_q_a.weight"},
    {Role::q_a_norm, "blk.{l}.attn_q_a_norm.weight"},
    {Role::q_b, "blk.{l}.attn_q_b.weight"},
    {Role::kv_a, "blk.{l}.attn_kv_a_mqa.weight"},
    {Role::kv_a_norm, "blk.{l}.attn_kv_a_norm.weight"},
    {Role::kv_b, "blk.{l}.attn_kv_b.weight"},
    {Role::k_b, "blk.{l}.attn_k_b.weight"},
    {Role::v_b, "blk.{l}.attn_v_b.weight"},
    {Role::index_q, "blk.{l}.indexer.attn_q_b.weight"},
    {Role::index_k, "blk.{l}.indexer.attn_k.weight"},
    {Role::index_k_norm, "blk.{l}.indexer.k_norm.weight"},
    {Role::index_k_norm_bias, "blk.{l}.indexer.k_norm.bias"},
    {Role::index_weights, "blk.{l}.indexer.proj.weight"},
    {Role::post_attention_norm, "blk.{l}.post_attention_norm.weight"},
    {Role::ffn_norm, "blk.{l}.ffn_norm.weight"},
    {Role::post_ffn_norm, "blk.{l}.post_ffw_norm.weight"},
    {Role::gate, "blk.{l}.ffn_gate.weight"},
    {Role::up, "blk.{l}.ffn_up.weight"},
    {Role::down, "blk.{l}.ffn_down.weight"},
    {Role::router, "blk.{l}.ffn_gate_inp.weight"},
    {Role::router_bias, "blk.{l}.exp_probs_b.bias"},
    {Role::router_logit_bias, "blk.{l}.ffn_gate_inp.bias"},
    {Role::expert_gate, "blk.{l}.ffn_gate_exps.weight"},
    {Role::expert_up, "blk.{l}.ffn_up_exps.weight"},
    {Role::expert_down, "blk.{l}.ffn_down_exps.weight"},
    {Role::expert_gate_up, "blk.{l}.ffn_gate_up_exps.weight"},
    {Role::expert_gate_bias, "blk.{l}.ffn_gate_exps.bias"},
    {Role::expert_up_bias, "blk.{l}.ffn_up_exps.bias"},
    {Role::expert_down_bias, "blk.{l}.ffn_down_exps.bias"},
    {Role::shared_gate, "blk.{l}.ffn_gate_shexp.weight"},
    {Role::shared_up, "blk.{l}.ffn_up_shexp.weight"},
    {Role::shared_down, "blk.{l}.ffn_down_shexp.weight"},
    {Role::shared_expert_gate, "blk.{l}.ffn_gate_inp_shexp.weight"},
    {Role::mtp_embedding, "blk.{l}.nextn.embed_tokens.weight"},
    {Role::mtp_head, "blk.{l}.nextn.shared_head_head.weight"},
    {Role::mtp_norm, "blk.{l}.nextn.shared_head_norm.weight"},
    {Role::mtp_embedding_norm, "blk.{l}.nextn.enorm.weight"},
    {Role::mtp_state_norm, "blk.{l}.nextn.hnorm.weight"},
    {Role::mtp_projection, "blk.{l}.nextn.eh_proj.weight"},
};

constexpr TensorName kLegacyExperts[] = {
    {Role::expert_gate, "blk.{l}.ffn_gate.{e}.weight"},
    {Role::expert_up, "blk.{l}.ffn_up.{e}.weight"},
    {Role::expert_down, "blk.{l}.ffn_down.{e}.weight"},
};

std::string filled(std::string_view pattern, std::int64_t layer, std::int64_t expert) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i, 3) == "{l}") {
      out += fmt::format("{}", layer);
      i += 2;
    } else if (pattern.substr(i, 3) == "{e}") {
      out += fmt::format("{}", expert);
      i += 2;
    } else {
      out += pattern[i];
    }
  }
  return out;
}

}  // namespace

bool is_leftover(checkpoint::Kind kind, std::string_view tensor) {
  if (kind == checkpoint::Kind::hf)
    return tensor.ends_with("rotary_emb.inv_freq") || tensor.ends_with("rotary_emb.cos_cached") ||
           tensor.ends_with("rotary_emb.sin_cached");
  return tensor.starts_with("blk.") &&
         (tensor.ends_with(".attn_rot_embd") || tensor.ends_with(".attn_rot_embd.weight"));
}

bool is_mtp(const Recognised& model, checkpoint::Kind kind, std::string_view tensor) {
  const std::string name = model.prefix.without(tensor);
  // ERNIE's, and those of Qwen3-Next, Qwen3.5 and Nemotron 3, whatever the configuration says.
  if (name.starts_with("model.mtp_") || name.starts_with("mtp.")) return true;
  if (kind == checkpoint::Kind::hf && !model.family->hf_mtp_layer.empty()) return false;
  const std::int64_t layers = model.config.layer_count;
  for (std::int64_t l = layers; l < layers + model.config.mtp_layer_count; ++l)
    if (name.starts_with(kind == checkpoint::Kind::hf ? fmt::format("model.layers.{}.", l) : fmt::format("blk.{}.", l)))
      return true;
  return false;
}

std::string legacy_expert_name(Role role, std::int64_t layer, std::int64_t expert) {
  for (const TensorName& name : kLegacyExperts)
    if (name.role == role) return filled(name.pattern, layer, expert);
  return {};
}

std::string tensor_name(checkpoint::Kind kind, Role role, std::int64_t layer, std::int64_t expert) {
  const std::span<const TensorName> names =
      kind == checkpoint::Kind::hf ? std::span<const TensorName>(kHfNames) : std::span<const TensorName>(kGgufNames);
  for (const TensorName& name : names)
    if (name.role == role) return filled(name.pattern, layer, expert);
  return {};
}

std::string tensor_name(const Recognised& model, checkpoint::Kind kind, Role role, std::int64_t layer,
                        std::int64_t expert) {
  const bool hf = kind == checkpoint::Kind::hf;
  const auto own = [&]() {
    for (const TensorName& name : hf ? model.family->hf_names : model.family->gguf_names)
      if (name.role == role) return filled(name.pattern, layer, expert);
    return tensor_name(kind, role, layer, expert);
  };
  if (!hf) return own();
  if (!model.config.is_mtp_layer || model.family->hf_mtp_layer.empty()) return model.prefix.in_file(own());
  const std::string numbered = fmt::format("model.layers.{}.", layer), name = own();
  return model.prefix.in_file(
      name.starts_with(numbered) ? std::string(model.family->hf_mtp_layer) + name.substr(numbered.size()) : name);
}

}  // namespace moe::inline MOE_ABI::arch

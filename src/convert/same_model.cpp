// Compares a written GGUF file with its source: every number that affects the arithmetic.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "convert/convert.hpp"
#include "moe/rope.hpp"

namespace moe::inline MOE_ABI::convert {
namespace {

/// Keeps the first difference.
class Comparison {
 public:
  Comparison(const ModelConfig& in, const ModelConfig& out) : in_(in), out_(out) {}

  void shape();
  void attention();
  void recurrent();
  void rope(bool rope_pairs);
  void layers();
  void feed_forward();
  void router();
  const std::string& different() const { return different_; }

 private:
  void same(std::string_view field, double a, double b) {
    // Numbers are float32 in the file.
    if (different_.empty() && std::abs(a - b) > 1e-6 * std::max(std::abs(a), std::abs(b)))
      different_ = fmt::format("{} is {}, but a GGUF file of this family would mean {}", field, a, b);
  }
  void same_count(std::string_view field, std::int64_t a, std::int64_t b) {
    same(field, static_cast<double>(a), static_cast<double>(b));
  }
  template <class Choice>
  void same_choice(std::string_view field, Choice a, Choice b) {
    same_count(field, static_cast<std::int64_t>(a), static_cast<std::int64_t>(b));
  }
  void same_frequencies(std::string_view field, const RopeConfig& a, const RopeConfig& b) {
    const std::int64_t dim = &a == &in_.rope ? in_.full_rotated_dim() : in_.rotated_dim();
    const auto x = RopeTable::create(a, dim), y = RopeTable::create(b, dim);
    for (std::size_t i = 0; x && y && i < x->frequencies().size(); ++i)
      same(fmt::format("{} frequency {}", field, i), x->frequencies()[i], y->frequencies()[i]);
  }

  const ModelConfig &in_, &out_;
  std::string different_;
};

void Comparison::shape() {
  same_count("num_hidden_layers", in_.layer_count, out_.layer_count);
  same_count("hidden_size", in_.hidden_size, out_.hidden_size);
  same_count("vocab_size", in_.vocab_size, out_.vocab_size);
  same_count("max_position_embeddings", in_.max_position, out_.max_position);
  same("rms_norm_eps", in_.rms_norm_eps, out_.rms_norm_eps);
  same("the embedding's scale", in_.embedding_scale, out_.embedding_scale);
  same("the branches' scale (residual_multiplier)", in_.residual_scale, out_.residual_scale);
  same("the logits' divisor (logits_scaling)", in_.logit_divisor, out_.logit_divisor);
}

void Comparison::attention() {
  same_count("num_attention_heads", in_.head_count, out_.head_count);
  same_count("num_key_value_heads", in_.kv_head_count, out_.kv_head_count);
  same_count("head_dim", in_.head_dim, out_.head_dim);
  same_count("the head_dim of full layers", in_.full_head_dim, out_.full_head_dim);
  same_count("the key heads of full layers", in_.full_kv_head_count, out_.full_kv_head_count);
  same_choice("keys as values in full layers", in_.full_key_is_value, out_.full_key_is_value);
  same_choice("a norm of the values", in_.value_norm, out_.value_norm);
  same_count("num_kv_shared_layers", in_.kv_shared_layer_count, out_.kv_shared_layer_count);
  same_count("q_lora_rank", in_.q_lora_rank, out_.q_lora_rank);
  same_count("kv_lora_rank", in_.kv_lora_rank, out_.kv_lora_rank);
  same_count("qk_nope_head_dim", in_.qk_nope_head_dim, out_.qk_nope_head_dim);
  same_count("qk_rope_head_dim", in_.qk_rope_head_dim, out_.qk_rope_head_dim);
  same_count("v_head_dim", in_.v_head_dim, out_.v_head_dim);
  same_count("index_n_heads", in_.indexer.head_count, out_.indexer.head_count);
  same_count("index_head_dim", in_.indexer.head_dim, out_.indexer.head_dim);
  same_count("index_topk", in_.indexer.top_k, out_.indexer.top_k);
  same_choice("the rope style of the indexer", in_.indexer.rope_style, out_.indexer.rope_style);
  same_choice("the bias of q, k and v (attention_bias)", in_.qkv_bias, out_.qkv_bias);
  same_choice("the bias of the attention's output (attention_bias)", in_.o_bias, out_.o_bias);
  same("the softmax scale", in_.softmax_scale, out_.softmax_scale);
  same("attn_logit_softcapping", in_.attn_logit_softcapping, out_.attn_logit_softcapping);
  same("final_logit_softcapping", in_.final_logit_softcapping, out_.final_logit_softcapping);
  same_choice("the kind of q and k norms", in_.qk_norm, out_.qk_norm);
  same_choice("attention sinks", in_.attention_sinks, out_.attention_sinks);
  same_choice("a gate of the attention's output", in_.attention_gate, out_.attention_gate);
}

void Comparison::recurrent() {
  const RecurrentConfig &in = in_.recurrent, &out = out_.recurrent;
  same_count("the taps of the convolution", in.conv_kernel, out.conv_kernel);
  same_count("the key heads of recurrent layers", in.key_heads, out.key_heads);
  same_count("the value heads of recurrent layers", in.heads, out.heads);
  same_count("the width of a key of recurrent layers", in.key_dim, out.key_dim);
  same_count("the width of a value of recurrent layers", in.value_dim, out.value_dim);
  same_choice("the bias of the convolution", in.conv_bias, out.conv_bias);
  same("the smallest step (time_step_min)", in.min_step, out.min_step);
}

void Comparison::rope(bool rope_pairs) {
  const RopeConfig &in = in_.rope, &out = out_.rope;
  same("rope_theta", in.theta, out.theta);
  if (in.style != RopeStyle::half_split || !rope_pairs)  // whose rows are permuted instead
    same_choice("rope_interleave", in.style == RopeStyle::interleaved, out.style == RopeStyle::interleaved);
  same_count("the rotated part of a head", in_.rotated_dim(), out_.rotated_dim());
  if (in.scaling != RopeScaling::llama3) {  // stored as divisors
    same_choice("the kind of rope scaling", in.scaling, out.scaling);
    same("rope_scaling.factor", in.factor, out.factor);
  }
  same_frequencies("the rope", in, out);
  same_choice("a rope of the sliding layers", in_.sliding_rope.has_value(), out_.sliding_rope.has_value());
  if (in_.sliding_rope && out_.sliding_rope)
    same_frequencies("the sliding layers' rope", *in_.sliding_rope, *out_.sliding_rope);
  if (in.scaling == RopeScaling::yarn) {
    same_count("rope_scaling.original_max_position_embeddings", in.original_max_position, out.original_max_position);
    same("rope_scaling.beta_fast", in.beta_fast, out.beta_fast);
    same("rope_scaling.beta_slow", in.beta_slow, out.beta_slow);
    same_choice("rope_scaling.truncate", in.truncate, out.truncate);
  }
  same("the growth of queries (llama_4_scaling_beta)", in.query_growth, out.query_growth);
  if (in.query_growth != 0.0 || in.scaling == RopeScaling::longrope)
    same_count("original_max_position_embeddings", in.original_max_position, out.original_max_position);
  same("the rope attention factor (mscale)", in.attention_factor, out.attention_factor);
}

void Comparison::layers() {
  for (std::int64_t l = 0; l < in_.layer_count; ++l) {
    same_choice(fmt::format("the kind of layer {}", l), in_.mixer(l), out_.mixer(l));
    same_choice(fmt::format("an FFN in layer {}", l), in_.has_ffn(l), out_.has_ffn(l));
    same_choice(fmt::format("layer {} with experts", l), in_.layer_is_moe(l), out_.layer_is_moe(l));
    same_count(fmt::format("the dense width of layer {}", l), in_.dense_width(l), out_.dense_width(l));
    same_count(fmt::format("the window of layer {}", l), in_.window(l), out_.window(l));
    same_choice(fmt::format("RoPE in layer {}", l), in_.has_rope(l), out_.has_rope(l));
    same_choice(fmt::format("an indexer in layer {}", l), in_.has_indexer(l), out_.has_indexer(l));
  }
  same_choice("norms after attention and FFN", in_.post_norms, out_.post_norms);
  same_choice("norms before attention and FFN", in_.pre_norms, out_.pre_norms);
}

void Comparison::feed_forward() {
  same_choice("the activation", in_.activation, out_.activation);
  same("swiglu_alpha", in_.swiglu_alpha, out_.swiglu_alpha);
  same("swiglu_limit", in_.swiglu_limit, out_.swiglu_limit);
  same_choice("a dense FFN beside experts", in_.dense_beside_experts, out_.dense_beside_experts);
  same_choice("a factor at the end of layers", in_.layer_scalar, out_.layer_scalar);
  same_count("hidden_size_per_layer_input", in_.layer_input_size, out_.layer_input_size);
  same_count("vocab_size_per_layer_input", in_.layer_input_vocab_size, out_.layer_input_vocab_size);
  same_count("the experts' width", in_.moe_intermediate_size, out_.moe_intermediate_size);
  same_count("the shared experts' width", in_.shared_width(), out_.shared_width());
  same_choice("the shared experts' gate", in_.shared_expert_gate, out_.shared_expert_gate);
}

void Comparison::router() {
  const RouterConfig &in = in_.router, &out = out_.router;
  same("moe_norm_min", in.norm_min, out.norm_min);
  same("what is added to the sum of the weights", in.norm_add, out.norm_add);
  same_count("the number of experts", in.expert_count, out.expert_count);
  same_count("num_experts_per_tok", in.top_k, out.top_k);
  same_count("n_group", in.group_count, out.group_count);
  same_count("topk_group", in.topk_group, out.topk_group);
  same_choice("the router's score", in.score, out.score);
  same_choice("the groups' score", in.group_score, out.group_score);
  same_choice("norm_topk_prob", in.norm_topk_prob, out.norm_topk_prob);
  same("routed_scaling_factor", in.routed_scaling_factor, out.routed_scaling_factor);
  same_choice("a bias of the selection", in.selection_bias, out.selection_bias);
  same_choice("a bias of the router", in_.router_bias, out_.router_bias);
  same_choice("biases of the experts", in_.expert_bias, out_.expert_bias);
  // The comparison goes on after a first difference: if layers() found one, the lists may have other lengths.
  const auto top_k_of = [](const ModelConfig& c, std::int64_t i) {
    const bool is_listed = c.layer_top_k.empty() || i < static_cast<std::int64_t>(c.layer_top_k.size());
    return is_listed ? c.moe_layer_top_k(i) : 0;
  };
  in_.for_each_moe_layer([&](std::int64_t layer, std::int64_t i) {
    same_count(fmt::format("the experts per token of layer {}", layer), top_k_of(in_, i), top_k_of(out_, i));
  });
}

}  // namespace

Result<void> check_same_model(const ModelConfig& in, const ModelConfig& out, bool rope_pairs) {
  Comparison compare(in, out);
  compare.shape();
  compare.attention();
  compare.recurrent();
  compare.rope(rope_pairs);
  compare.layers();
  compare.feed_forward();
  compare.router();
  if (compare.different().empty()) return {};
  return fail(ErrorCode::unsupported, compare.different());
}

}  // namespace moe::inline MOE_ABI::convert

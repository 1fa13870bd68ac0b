// check_same_model: a written file whose configuration differs in any field that affects the arithmetic is refused.

#include <functional>
#include <vector>

#include "convert/convert.hpp"
#include "support.hpp"

namespace same_model_test {

namespace {

using moe::ModelConfig;

/// Three layers with everything: two with experts, one of them recurrent, and one dense.
ModelConfig config() {
  ModelConfig c;
  c.layer_count = 3, c.hidden_size = 64, c.vocab_size = 100, c.max_position = 128;
  c.head_count = 4, c.kv_head_count = 2, c.head_dim = 16, c.v_head_dim = 16;
  c.softmax_scale = 0.25;
  c.intermediate_size = 128, c.moe_intermediate_size = 32, c.shared_expert_count = 1;
  c.first_k_dense_replace = 1;
  c.mixers = {moe::Mixer::attention, moe::Mixer::delta_net, moe::Mixer::attention};
  c.recurrent.conv_kernel = 4, c.recurrent.key_heads = 2, c.recurrent.heads = 4;
  c.recurrent.key_dim = 8, c.recurrent.value_dim = 8;
  c.router.expert_count = 8, c.router.top_k = 2;
  c.layer_top_k = {2, 1};
  return c;
}

const std::vector<std::function<void(ModelConfig&)>> kChanges = {
    [](ModelConfig& c) { c.hidden_size += 1; },
    [](ModelConfig& c) { c.vocab_size += 1; },
    [](ModelConfig& c) { c.max_position += 1; },
    [](ModelConfig& c) { c.rms_norm_eps *= 2; },
    [](ModelConfig& c) { c.embedding_scale = 2; },
    [](ModelConfig& c) { c.residual_scale = 0.5; },
    [](ModelConfig& c) { c.logit_divisor = 2; },
    [](ModelConfig& c) { c.head_count = 2; },
    [](ModelConfig& c) { c.kv_head_count = 4; },
    [](ModelConfig& c) { c.head_dim = 8; },
    [](ModelConfig& c) { c.v_head_dim = 8; },
    [](ModelConfig& c) { c.qkv_bias = true; },
    [](ModelConfig& c) { c.o_bias = true; },
    [](ModelConfig& c) { c.qk_norm = moe::QkNorm::head; },
    [](ModelConfig& c) { c.rotary_dim = 8; },
    [](ModelConfig& c) { c.nope_layers = {2}; },
    [](ModelConfig& c) { c.pre_norms = false; },
    [](ModelConfig& c) { c.post_norms = true; },
    [](ModelConfig& c) { c.attention_sinks = true; },
    [](ModelConfig& c) { c.sliding_window = 4, c.sliding_layers = {0}; },
    [](ModelConfig& c) { c.full_head_dim = 8; },
    [](ModelConfig& c) { c.full_kv_head_count = 1; },
    [](ModelConfig& c) { c.full_key_is_value = true; },
    [](ModelConfig& c) { c.value_norm = true; },
    [](ModelConfig& c) { c.kv_shared_layer_count = 1; },
    [](ModelConfig& c) { c.attention_gate = true; },
    [](ModelConfig& c) { c.mixers[1] = moe::Mixer::attention; },
    [](ModelConfig& c) { c.no_ffn_layers = {2}; },
    [](ModelConfig& c) { c.recurrent.conv_kernel = 3; },
    [](ModelConfig& c) { c.recurrent.key_heads = 1; },
    [](ModelConfig& c) { c.recurrent.heads = 2; },
    [](ModelConfig& c) { c.recurrent.key_dim = 4; },
    [](ModelConfig& c) { c.recurrent.value_dim = 4; },
    [](ModelConfig& c) { c.recurrent.conv_bias = true; },
    [](ModelConfig& c) { c.recurrent.min_step = 0.001; },
    [](ModelConfig& c) { c.q_lora_rank = 4; },
    [](ModelConfig& c) { c.kv_lora_rank = 4; },
    [](ModelConfig& c) { c.qk_nope_head_dim = 4; },
    [](ModelConfig& c) { c.qk_rope_head_dim = 4; },
    [](ModelConfig& c) { c.indexer.head_count = 1; },
    [](ModelConfig& c) { c.indexer.head_dim = 4; },
    [](ModelConfig& c) { c.indexer.top_k = 4; },
    [](ModelConfig& c) { c.softmax_scale = 0.5; },
    [](ModelConfig& c) { c.rope.theta = 5000; },
    [](ModelConfig& c) { c.rope.style = moe::RopeStyle::interleaved; },
    [](ModelConfig& c) { c.rope.scaling = moe::RopeScaling::linear, c.rope.factor = 2; },
    [](ModelConfig& c) { c.rope.attention_factor = 2; },
    [](ModelConfig& c) { c.rope.query_growth = 0.1; },
    [](ModelConfig& c) { c.sliding_rope.emplace(); },
    [](ModelConfig& c) { c.attn_logit_softcapping = 50; },
    [](ModelConfig& c) { c.final_logit_softcapping = 30; },
    [](ModelConfig& c) { c.activation = moe::Activation::gelu_tanh; },
    [](ModelConfig& c) { c.swiglu_alpha = 1; },
    [](ModelConfig& c) { c.swiglu_limit = 1; },
    [](ModelConfig& c) { c.intermediate_size = 96; },
    [](ModelConfig& c) { c.dense_beside_experts = true; },
    [](ModelConfig& c) { c.layer_scalar = true; },
    [](ModelConfig& c) { c.layer_input_size = 4; },
    [](ModelConfig& c) { c.layer_input_vocab_size = 200; },
    [](ModelConfig& c) { c.moe_intermediate_size = 16; },
    [](ModelConfig& c) { c.shared_expert_count = 2; },
    [](ModelConfig& c) { c.shared_expert_gate = true; },
    [](ModelConfig& c) { c.first_k_dense_replace = 0; },
    [](ModelConfig& c) { c.mlp_only_layers = {1}; },
    [](ModelConfig& c) { c.expert_bias = true; },
    [](ModelConfig& c) { c.router_bias = true; },
    [](ModelConfig& c) { c.router.expert_count = 4; },
    [](ModelConfig& c) { c.router.top_k = 3; },
    [](ModelConfig& c) { c.router.group_count = 2; },
    [](ModelConfig& c) { c.router.topk_group = 2; },
    [](ModelConfig& c) { c.router.score = moe::RouterScore::sigmoid; },
    [](ModelConfig& c) { c.router.group_score = moe::GroupScore::top2_sum; },
    [](ModelConfig& c) { c.router.selection_bias = true; },
    [](ModelConfig& c) { c.router.norm_topk_prob = true; },
    [](ModelConfig& c) { c.router.norm_min = 1; },
    [](ModelConfig& c) { c.router.norm_add = 1; },
    [](ModelConfig& c) { c.router.routed_scaling_factor = 2; },
    [](ModelConfig& c) {
      c.layer_top_k = {2, 2};
    },
    [](ModelConfig& c) { c.layer_top_k = {}; },
};

void check_refused(const ModelConfig& in, const ModelConfig& out) {
  const auto same = moe::convert::check_same_model(in, out, false);
  REQUIRE_FALSE(same.has_value());
  CHECK(same.error().code == moe::ErrorCode::unsupported);
}

}  // namespace

TEST_CASE("any other field that affects the arithmetic is refused") {
  const ModelConfig in = config();
  CHECK(moe::convert::check_same_model(in, in, false).has_value());
  for (std::size_t i = 0; i < kChanges.size(); ++i) {
    CAPTURE(i);
    ModelConfig out = in;
    kChanges[i](out);
    check_refused(in, out);
    check_refused(out, in);
  }
}

}  // namespace same_model_test

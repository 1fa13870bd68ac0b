// validate(): published shapes pass, and one wrong number at a time is refused by name.

#include "moe/model.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace config_test {

namespace {

using moe::ModelConfig;
using moe::RopeScaling;

ModelConfig llama() {
  ModelConfig c;
  c.family = "llama";
  c.layer_count = 32;
  c.hidden_size = 4096;
  c.vocab_size = 128256;
  c.max_position = 8192;
  c.head_count = 32;
  c.kv_head_count = 8;
  c.head_dim = c.v_head_dim = 128;
  c.softmax_scale = 1.0 / std::sqrt(128.0);
  c.intermediate_size = 14336;
  c.rope.theta = 500000.0;
  return c;
}

ModelConfig deepseek_v3() {
  ModelConfig c;
  c.family = "deepseek_v3";
  c.layer_count = 61;
  c.hidden_size = 7168;
  c.vocab_size = 129280;
  c.max_position = 163840;
  c.attention = moe::AttentionKind::mla;
  c.head_count = c.kv_head_count = 128;
  c.q_lora_rank = 1536;
  c.kv_lora_rank = 512;
  c.qk_nope_head_dim = c.v_head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.softmax_scale = 0.135;
  c.rope.style = moe::RopeStyle::interleaved;
  c.rope.scaling = RopeScaling::yarn;
  c.rope.factor = 40;
  c.rope.original_max_position = 4096;
  c.intermediate_size = 18432;
  c.moe_intermediate_size = 2048;
  c.shared_expert_count = 1;
  c.first_k_dense_replace = 3;
  c.mtp_layer_count = 1;
  c.router.expert_count = 256;
  c.router.top_k = 8;
  c.router.group_count = 8;
  c.router.topk_group = 4;
  c.router.score = moe::RouterScore::sigmoid;
  c.router.group_score = moe::GroupScore::top2_sum;
  c.router.selection_bias = c.router.norm_topk_prob = true;
  c.router.routed_scaling_factor = 2.5;
  return c;
}

struct Wrong {
  const char* field;  ///< what the message must name
  std::function<void(ModelConfig&)> change;
};

void check_refused(const ModelConfig& good, const std::vector<Wrong>& wrongs) {
  REQUIRE(moe::validate(good).has_value());
  for (const Wrong& wrong : wrongs) {
    CAPTURE(wrong.field);
    ModelConfig c = good;
    wrong.change(c);
    const auto got = moe::validate(c);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error().code == moe::ErrorCode::bad_config);
    CAPTURE(got.error().message);
    CHECK(got.error().message.find(wrong.field) != std::string::npos);
    CHECK(got.error().message.find('\n') == std::string::npos);
  }
}

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
const double kNan = std::nan(""), kInf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("published shapes pass") {
  for (const ModelConfig& c : {llama(), deepseek_v3()}) {
    const auto got = moe::validate(c);
    CHECK_MESSAGE(got.has_value(), (got ? "" : got.error().message));
  }
}

TEST_CASE("one wrong number of a dense model is refused by name") {
  check_refused(
      llama(),
      {{"layer_count", [](auto& c) { c.layer_count = 0; }},
       {"layer_count", [](auto& c) { c.layer_count = 1025; }},
       {"layer_count", [](auto& c) { c.layer_count = -kHuge; }},
       {"hidden_size", [](auto& c) { c.hidden_size = 0; }},
       {"hidden_size", [](auto& c) { c.hidden_size = kHuge; }},
       {"vocab_size", [](auto& c) { c.vocab_size = -1; }},
       {"max_position", [](auto& c) { c.max_position = 0; }},
       {"head_count", [](auto& c) { c.head_count = 0; }},
       {"kv_head_count", [](auto& c) { c.kv_head_count = 0; }},
       {"kv_head_count", [](auto& c) { c.kv_head_count = 5; }},
       {"kv_head_count", [](auto& c) { c.kv_head_count = 64; }},
       {"head_dim", [](auto& c) { c.head_dim = c.v_head_dim = 127; }},
       {"head_dim", [](auto& c) { c.head_dim = 0; }},
       {"v_head_dim", [](auto& c) { c.v_head_dim = 64; }},
       {"rotary_dim", [](auto& c) { c.rotary_dim = 3; }},
       {"rotary_dim", [](auto& c) { c.rotary_dim = c.head_dim + 2; }},
       {"qk_norm", [](auto& c) { c.qk_norm = static_cast<moe::QkNorm>(9); }},
       {"shared_expert_count", [](auto& c) { c.shared_expert_intermediate_size = 8; }},
       {"shared_expert_gate", [](auto& c) { c.shared_expert_gate = true; }},
       {"rms_norm_eps", [](auto& c) { c.rms_norm_eps = kNan; }},
       {"rms_norm_eps", [](auto& c) { c.rms_norm_eps = kInf; }},
       {"rms_norm_eps", [](auto& c) { c.rms_norm_eps = 1e-60; }},
       {"rms_norm_eps", [](auto& c) { c.rms_norm_eps = -1e-6; }},
       {"softmax_scale", [](auto& c) { c.softmax_scale = kInf; }},
       {"softmax_scale", [](auto& c) { c.softmax_scale = 0.0; }},
       {"rope.theta", [](auto& c) { c.rope.theta = 0.0; }},
       {"rope.theta", [](auto& c) { c.rope.theta = 1.0; }},
       {"rope.theta", [](auto& c) { c.rope.theta = kNan; }},
       {"rope.attention_factor", [](auto& c) { c.rope.attention_factor = kNan; }},
       {"rope.factor", [](auto& c) { c.rope.scaling = RopeScaling::linear, c.rope.factor = 0.0; }},
       {"rope.scaling", [](auto& c) { c.rope.scaling = static_cast<RopeScaling>(9); }},
       {"rope.original_max_position", [](auto& c) { c.rope.scaling = RopeScaling::yarn; }},
       {"rope.low_freq_factor", [](auto& c) { c.rope.scaling = RopeScaling::llama3, c.rope.low_freq_factor = 4.0; }},
       {"rope.frequency_factors", [](auto& c) { c.rope.scaling = RopeScaling::factors; }},
       {"rope.frequency_factors",
        [](auto& c) {
          c.rope.scaling = RopeScaling::factors;
          c.rope.frequency_factors.assign(static_cast<std::size_t>(c.rotated_dim() / 2), 0.0);
        }},
       {"rope.beta_slow", [](auto& c) { c.rope.scaling = RopeScaling::yarn, c.rope.beta_slow = 64.0; }},
       {"intermediate_size", [](auto& c) { c.intermediate_size = 0; }},
       {"shared_expert_count", [](auto& c) { c.shared_expert_count = 1; }},
       {"router.top_k", [](auto& c) { c.router.top_k = 2; }},
       {"attention", [](auto& c) { c.attention = static_cast<moe::AttentionKind>(7); }},
       {"mlp_only_layers", [](auto& c) { c.mlp_only_layers = {32}; }},
       {"mlp_only_layers", [](auto& c) { c.mlp_only_layers.assign(33, 0); }}});
}

TEST_CASE("one wrong setting of a hybrid is refused by name") {
  ModelConfig hybrid = llama();
  hybrid.layer_count = 4;
  hybrid.mixers = {moe::Mixer::delta_net, moe::Mixer::attention, moe::Mixer::none, moe::Mixer::delta_net};
  hybrid.recurrent = {.conv_kernel = 4, .key_heads = 16, .heads = 32, .key_dim = 128, .value_dim = 24};
  check_refused(hybrid, {{"mixers", [](ModelConfig& c) { c.mixers.pop_back(); }},
                         {"mixer of layer 3", [](ModelConfig& c) { c.mixers[3] = moe::Mixer::short_conv; }},
                         {"mixer of layer 1", [](ModelConfig& c) { c.mixers[1] = static_cast<moe::Mixer>(9); }},
                         {"layer 2", [](ModelConfig& c) { c.no_ffn_layers = {2}; }},
                         {"no_ffn_layers", [](ModelConfig& c) { c.no_ffn_layers = {4}; }},
                         {"recurrent.conv_kernel", [](ModelConfig& c) { c.recurrent.conv_kernel = 1; }},
                         {"recurrent.key_heads", [](ModelConfig& c) { c.recurrent.key_heads = 5; }},
                         {"recurrent.heads", [](ModelConfig& c) { c.recurrent.heads = 0; }},
                         {"recurrent.key_dim", [](ModelConfig& c) { c.recurrent.key_dim = 1 << 20; }},
                         {"recurrent.value_dim", [](ModelConfig& c) { c.recurrent.value_dim = 0; }},
                         {"rope.scaling", [](ModelConfig& c) {
                            c.rope.scaling = RopeScaling::longrope;
                            c.rope.original_max_position = 4096;
                            c.rope.frequency_factors = c.rope.long_factors = std::vector<double>(64, 1.0);
                          }}});
}

TEST_CASE("one wrong number of a mixture with latent attention is refused by name") {
  check_refused(deepseek_v3(),
                {{"kv_lora_rank", [](auto& c) { c.kv_lora_rank = 0; }},
                 {"q_lora_rank", [](auto& c) { c.q_lora_rank = -1; }},
                 {"qk_nope_head_dim", [](auto& c) { c.qk_nope_head_dim = 0; }},
                 {"qk_rope_head_dim", [](auto& c) { c.qk_rope_head_dim = 63; }},
                 {"v_head_dim", [](auto& c) { c.v_head_dim = 0; }},
                 {"qkv_bias", [](auto& c) { c.qkv_bias = true; }},
                 {"qk_norm", [](auto& c) { c.qk_norm = moe::QkNorm::head; }},
                 {"rotary_dim", [](auto& c) { c.rotary_dim = 2; }},
                 {"shared_expert_intermediate_size", [](auto& c) { c.shared_expert_intermediate_size = -1; }},
                 {"shared_expert_intermediate_size",
                  [](auto& c) { c.shared_expert_count = 0, c.shared_expert_intermediate_size = 1; }},
                 {"shared_expert_gate", [](auto& c) { c.shared_expert_count = 0, c.shared_expert_gate = true; }},
                 {"expert_count", [](auto& c) { c.router.expert_count = -256; }},
                 {"expert_count", [](auto& c) { c.router.expert_count = kHuge; }},
                 {"router.top_k", [](auto& c) { c.router.expert_count = 0; }},
                 {"group_count", [](auto& c) { c.router.group_count = 0; }},
                 {"group_count", [](auto& c) { c.router.group_count = 7; }},
                 {"group_count", [](auto& c) { c.router.expert_count = 8, c.router.top_k = 4; }},
                 {"topk_group", [](auto& c) { c.router.topk_group = 9; }},
                 {"topk_group", [](auto& c) { c.router.topk_group = 0; }},
                 {"top_k", [](auto& c) { c.router.top_k = 0; }},
                 {"top_k", [](auto& c) { c.router.top_k = 129; }},
                 {"norm_min", [](auto& c) { c.router.norm_min = kNan; }},
                 {"norm_add", [](auto& c) { c.router.norm_add = kNan; }},
                 {"norm_add", [](auto& c) { c.router.norm_add = -1e-9; }},
                 {"routed_scaling_factor", [](auto& c) { c.router.routed_scaling_factor = kInf; }},
                 {"routed_scaling_factor", [](auto& c) { c.router.routed_scaling_factor = 0.0; }},
                 {"router.score", [](auto& c) { c.router.score = static_cast<moe::RouterScore>(5); }},
                 {"group_score", [](auto& c) { c.router.group_score = static_cast<moe::GroupScore>(5); }},
                 {"moe_intermediate_size", [](auto& c) { c.moe_intermediate_size = 0; }},
                 {"shared_expert_count", [](auto& c) { c.shared_expert_count = -1; }},
                 {"first_k_dense_replace", [](auto& c) { c.first_k_dense_replace = 62; }},
                 {"first_k_dense_replace", [](auto& c) { c.first_k_dense_replace = -1; }},
                 {"intermediate_size", [](auto& c) { c.intermediate_size = 0; }},
                 {"mtp_layer_count", [](auto& c) { c.mtp_layer_count = -1; }},
                 {"parameters", [](auto& c) { c.router.expert_count = 65536, c.moe_intermediate_size = 1 << 20; }}});
}

TEST_CASE("one wrong number of an indexer is refused by name") {
  ModelConfig sparse = deepseek_v3();
  sparse.indexer = {.head_count = 64, .head_dim = 128, .top_k = 2048, .shared_layers = {1, 5}};
  check_refused(sparse, {{"indexer.head_count", [](auto& c) { c.indexer.head_count = 0; }},
                         {"indexer.head_count", [](auto& c) { c.indexer.head_count = kHuge; }},
                         {"indexer.head_dim", [](auto& c) { c.indexer.head_dim = 63; }},
                         {"indexer.head_dim", [](auto& c) { c.indexer.head_dim = 1 << 20; }},
                         {"indexer.top_k", [](auto& c) { c.indexer.top_k = 0; }},
                         {"indexer.top_k", [](auto& c) { c.indexer.top_k = kHuge; }},
                         {"indexer.rope_style", [](auto& c) { c.indexer.rope_style = static_cast<moe::RopeStyle>(7); }},
                         {"indexer.shared_layers", [](auto& c) { c.indexer.shared_layers = {0}; }},
                         {"indexer.shared_layers",
                          [](auto& c) {
                            c.indexer.shared_layers = {5, 1};
                          }},
                         {"indexer.shared_layers", [](auto& c) { c.indexer.shared_layers = {61}; }},
                         {"indexer is set", [](auto& c) { c.q_lora_rank = 0; }},
                         {"indexer is set", [](auto& c) { c.mixers.assign(61, moe::Mixer::attention); }}});
  ModelConfig dense = llama();
  dense.indexer.top_k = 5;
  CHECK(moe::validate(dense).error().message.find("indexer is set") != std::string::npos);
}

TEST_CASE("layers that are dense by name need a width") {
  ModelConfig c = deepseek_v3();
  c.first_k_dense_replace = 0;
  c.intermediate_size = 0;
  CHECK(moe::validate(c).has_value());
  c.mlp_only_layers = {5};
  CHECK_FALSE(moe::validate(c).has_value());
}

}  // namespace config_test

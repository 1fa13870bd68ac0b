// No key of config.json is ignored unseen: it is read, or refused, or known never to matter, or listed.

#include <nlohmann/json.hpp>

#include <algorithm>

#include "arch/defaults.hpp"
#include "arch/family.hpp"
#include "arch/unread_rules.hpp"
#include "moe/model.hpp"
#include "scratch_dir.hpp"

namespace config_keys_test {

namespace {

namespace fs = std::filesystem;
using moe::ErrorCode;
using moe::arch::recognise_hf_config;
using nlohmann::json;

/// A small configuration of every family (tests/data/defaults).
json bases() {
  json out;
  const auto cases =
      json::parse(moe_test::read_file(fs::path(MOE_SOURCE_DIR) / "tests/data/defaults/cases.json"))["families"];
  for (const auto& [name, entry] : cases.items()) out[name] = entry["base"];
  return out;
}

bool listed(const moe::arch::Recognised& model, const std::string& key) {
  return std::count(model.unread_keys.begin(), model.unread_keys.end(), key) == 1;
}

std::string error_of(const json& config) {
  const auto read = recognise_hf_config(config.dump());
  return read ? std::string("no error") : read.error().message;
}

json with(json config, const std::string& key, const json& value) {
  config[key] = value;
  return config;
}

const fs::path kVariants = fs::path(MOE_SOURCE_DIR) / "tests/data/variants";

/// A directory of this test alone.
struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_config_keys") {}
  std::string path() const { return dir.string(); }
};

/// A key of a family with a value that changes the arithmetic, and one that says what is computed anyway.
struct Case {
  const char* family;
  const char* key;
  json refused, harmless;
};
const Case kArithmeticKeys[] = {
    {"deepseek_v3", "index_topk", 4, nullptr},
    {"llama", "no_rope_layers", {1, 0, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}},
    {"llama", "no_rope_layer_interval", 4, 0},
    {"glm4_moe",
     "mlp_layer_types",
     {"sparse", "sparse", "sparse", "sparse", "sparse", "sparse"},
     {"dense", "dense", "sparse", "sparse", "sparse", "sparse"}},
    {"qwen3_moe",
     "layer_types",
     {"full_attention", "full_attention"},
     json(std::vector<std::string>(6, "sliding_attention"))},
    {"llama", "sliding_window", 128, 0},
    {"nemotron_h", "num_query_groups", 3, 2},
    {"olmoe", "clip_qkv", 8.0, nullptr},
    {"llama", "mlp_bias", true, false},
    {"mixtral", "attention_bias", true, false},
    {"deepseek_v3", "attention_bias", true, false},
    {"deepseek_v2", "norm_topk_prob", true, false},
    {"deepseek_v2", "scoring_func", "sigmoid", "softmax"},
    {"deepseek_v3", "scoring_func", "softmax", "sigmoid"},
    {"dots1", "scoring_func", "softmax", "noaux_tc"},
    {"dots1", "scoring_func", "noaux", "sigmoid"},
    {"hunyuan_v1_moe", "routed_scaling_factor", 2.5, 1.0},
    {"deepseek_v3", "topk_method", "greedy", "noaux_tc"},
    {"deepseek_v3", "moe_layer_freq", 2, 1},
    {"dots1", "moe_layer_freq", {1, 1, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1}},
    {"ernie4_5_moe", "use_bias", true, false},
    {"mixtral", "norm_topk_prob", false, true},
    {"qwen3_moe", "routed_scaling_factor", 2.0, 1.0},
    {"qwen3_moe", "shared_expert_intermediate_size", 64, 0},
    {"qwen3", "use_qk_norm", false, true},
    {"qwen2", "qk_layernorm", true, false},
    {"llama", "num_experts", 8, 1},
    {"llama", "logit_scale", 0.5, 1.0},
    {"llama", "logits_scaling", 8, 1},
    {"llama", "embedding_multiplier", 12.0, 1.0},
    {"gemma3_text", "embedding_multiplier", 1.0, std::sqrt(96.0)},
    {"llama", "residual_multiplier", 0.25, 1},
    {"llama", "attention_multiplier", 0.5, 1.0 / std::sqrt(20.0)},
    {"llama", "query_pre_attn_scalar", 256, 20},
    {"gemma2", "attn_logit_softcapping", -50.0, 20.0},
    {"gemma3_text", "final_logit_softcapping", "30", nullptr},
    {"gemma3_text", "attn_logit_softcapping", 50.0, nullptr},
    {"llama", "attn_logit_softcapping", 50.0, nullptr},
    {"llama", "final_logit_softcapping", 30.0, 0},
    {"gemma3_text", "use_bidirectional_attention", true, false},
    {"gemma3_text", "hidden_act", "silu", "gelu_pytorch_tanh"},
    {"llama", "hidden_activation", "gelu", "silu"},
    {"llama", "rope_interleave", true, false},
    {"glm4", "rope_interleave", false, true},
    {"llama", "position_embedding_type", "alibi", "rope"},
    {"hunyuan_v1_dense", "use_mla", true, false},
    {"hunyuan_v1_dense", "use_cla", true, false},
    {"hunyuan_v1_dense", "norm_type", "layer", "rms"},
    {"llama", "mamba_d_conv", 4, nullptr},
    {"llama", "compression_config", {{"quant_method", "x"}}, json::object()},
    {"llama", "partial_rotary_factor", 0.5, 1.0},
};

}  // namespace

TEST_CASE("keys that change the arithmetic are refused by name, unless they say what is computed anyway") {
  const json all = bases();
  for (const Case& c : kArithmeticKeys) {
    CAPTURE(c.family);
    CAPTURE(c.key);
    const json& base = all[c.family];
    const auto before = recognise_hf_config(base.dump());
    REQUIRE_MESSAGE(before.has_value(), before.error().message);
    const auto refused = recognise_hf_config(with(base, c.key, c.refused).dump());
    REQUIRE_FALSE(refused.has_value());
    CHECK_MESSAGE(refused.error().message.find(c.key) != std::string::npos, refused.error().message);
    const auto harmless = recognise_hf_config(with(base, c.key, c.harmless).dump());
    REQUIRE_MESSAGE(harmless.has_value(), harmless.error().message);
    CHECK(harmless->config == before->config);
    CHECK(harmless->unread_keys.empty());
  }
}

TEST_CASE("more dense layers than there are layers: all are dense") {
  const json all = bases();
  for (const auto& [family, key] : {std::pair("deepseek_v2", "first_k_dense_replace"),
                                    {"deepseek_v3", "first_k_dense_replace"},
                                    {"glm4_moe", "first_k_dense_replace"},
                                    {"dots1", "first_k_dense_replace"}}) {
    const std::string name = family;
    CAPTURE(name);
    const json& base = all[name];
    const auto layers = base["num_hidden_layers"].get<std::int64_t>();
    const auto equal = recognise_hf_config(with(base, key, layers).dump());
    const auto more = recognise_hf_config(with(base, key, layers + 1).dump());
    REQUIRE_MESSAGE(equal.has_value(), equal.error().message);
    REQUIRE_MESSAGE(more.has_value(), more.error().message);
    CHECK(more->config == equal->config);
    CHECK(more->config.moe_layer_count() == 0);
  }
}

TEST_CASE("RoPE of classes that make a block where the file has none") {
  const json all = bases();
  for (const char* family : {"ministral3", "gpt_oss"}) {
    const std::string name = family;
    CAPTURE(name);
    json base = all[name];
    for (const char* key : {"rope_parameters", "rope_scaling", "rope_theta"}) base.erase(key);
    const auto absent = recognise_hf_config(base.dump());
    const auto null = recognise_hf_config(with(base, "rope_parameters", nullptr).dump());
    REQUIRE_MESSAGE(absent.has_value(), absent.error().message);
    REQUIRE_MESSAGE(null.has_value(), null.error().message);
    CHECK(absent->config.rope.scaling == moe::RopeScaling::yarn);
    CHECK(null->config == absent->config);
  }
  json linear = all["ministral3"];
  for (const char* key : {"rope_parameters", "rope_scaling", "rope_theta"}) linear.erase(key);
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2.0}};
  const auto found = recognise_hf_config(linear.dump());
  REQUIRE_MESSAGE(found.has_value(), found.error().message);
  CHECK(found->config.rope.theta == 1e4);
}

TEST_CASE("a family whose class has no dense layers needs no intermediate_size") {
  int found = 0;
  const json all = bases();
  for (const auto& [family, base] : all.items()) {
    const std::string& name = family;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(name);
    const auto* defaults = moe::arch::defaults_of(name);
    REQUIRE(defaults != nullptr);
    if (defaults->values.contains("intermediate_size")) continue;
    ++found;
    json config = base;
    config.erase("intermediate_size");
    const auto read = recognise_hf_config(config.dump());
    REQUIRE_MESSAGE(read.has_value(), read.error().message);
    CHECK(read->config.intermediate_size == 0);
    const auto widest = recognise_hf_config(with(base, "intermediate_size", 5632).dump());
    REQUIRE(widest.has_value());
    CHECK(widest->config.intermediate_size == 5632);
    config["mlp_only_layers"] = {1};  // a dense layer, without a width
    CHECK(error_of(config).find("intermediate_size") != std::string::npos);
  }
  CHECK(found > 0);
}

TEST_CASE("whatever its value, a known key is refused or listed, in every family") {
  std::size_t refused = 0, shown = 0;
  const json all = bases();
  for (const auto& [name, base] : all.items()) {
    const std::string& family = name;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(family);
    for (const moe::arch::UnreadRule& rule : moe::arch::json_rules()) {
      std::string key(rule.key);
      std::replace(key.begin(), key.end(), '*', 'x');
      CAPTURE(key);
      const json strange = {{"strange", "value"}};
      const auto read = recognise_hf_config(with(base, key, strange).dump());
      ++(read ? shown : refused);
      if (read) CHECK(listed(*read, key));
      if (!read) CHECK_MESSAGE(read.error().message.find(key) != std::string::npos, read.error().message);
    }
  }
  MESSAGE(refused << " refused, " << shown << " listed");
  CHECK(refused > 5 * shown);
}

TEST_CASE("keys that nobody knows are listed, those that never matter are not") {
  const json all = bases();
  for (const auto& [name, base] : all.items()) {
    const std::string& family = name;
    CAPTURE(family);
    json config = base;
    for (const char* key : {"torch_dtype", "transformers_version", "use_cache", "initializer_range", "auto_map"})
      config[key] = "anything";
    config["made_up_here"] = 1;
    config["another"] = {{"made_up", true}};
    const auto read = recognise_hf_config(config.dump());
    REQUIRE_MESSAGE(read.has_value(), read.error().message);
    CHECK(read->unread_keys == std::vector<std::string>{"another", "made_up_here"});
  }
  // Inside of an object that is read, by its path.
  json config = bases()["llama"];
  config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}, {"made_up", 3}, {"mscale", 1.0}};
  config["quantization_config"] = {{"quant_method", "fp8"},
                                   {"weight_block_size", {4, 4}},
                                   {"modules_to_not_convert", json::array()},
                                   {"made_up", 3}};
  const auto read = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(read.has_value(), read.error().message);
  CHECK(read->unread_keys ==
        std::vector<std::string>{"quantization_config.made_up", "rope_scaling.made_up", "rope_scaling.mscale"});
  for (const char* key : {"alpha", "llama_4_scaling_beta"}) {
    json scaled = bases()["llama"];
    scaled["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 2.0}, {key, 50.0}};
    CHECK(error_of(scaled).find(std::string("rope_scaling.") + key) != std::string::npos);
  }
}

TEST_CASE("two places that say different things about RoPE: transformers' choice with a note, or an error") {
  const json llama = bases()["llama"];
  json config = llama;
  config["rope_scaling"] = {{"rope_type", "default"}, {"rope_theta", 300.0}};
  const auto theta = recognise_hf_config(config.dump());
  REQUIRE(theta.has_value());
  CHECK(theta->config.rope.theta == 300.0);
  REQUIRE(theta->notes.size() == 1);
  for (const char* part : {"rope_scaling.rope_theta is 300", "rope_theta is 20000"})
    CHECK_MESSAGE(theta->notes[0].find(part) != std::string::npos, theta->notes[0]);

  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 400.0}};
  CHECK(error_of(config).find("rope_scaling and rope_parameters say different things") != std::string::npos);
  config["rope_parameters"] = {{"rope_theta", 300}};
  const auto twice = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(twice.has_value(), twice.error().message);
  CHECK(twice->config == theta->config);
  CHECK(twice->unread_keys.empty());

  // A block per kind of layer, in a family whose class has no such kinds: transformers does not look into it.
  json nested = llama;
  nested["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 300.0}}}};
  const auto plain = recognise_hf_config(llama.dump()), read = recognise_hf_config(nested.dump());
  REQUIRE_MESSAGE(read.has_value(), read.error().message);
  CHECK(read->config == plain->config);
  CHECK(read->unread_keys.empty());
  REQUIRE(read->notes.size() == 1);
  for (const char* part : {"rope_parameters.full_attention is not used", "whose base is 20000"})
    CHECK_MESSAGE(read->notes[0].find(part) != std::string::npos, read->notes[0]);
  nested["rope_parameters"]["rope_theta"] = 5.0;
  const auto beside = recognise_hf_config(nested.dump());
  REQUIRE_MESSAGE(beside.has_value(), beside.error().message);
  CHECK(beside->config.rope.theta == 5.0);
  CHECK(beside->config.rope.factor == plain->config.rope.factor);

  // In one with kinds it is the rule, though all layers may be of one kind.
  json kinds = bases()["qwen3"];
  kinds["use_sliding_window"] = false;
  kinds.erase("layer_types");
  kinds["rope_parameters"] = {{"full_attention", {{"rope_type", "linear"}, {"factor", 2.0}, {"rope_theta", 300.0}}}};
  const auto full = recognise_hf_config(kinds.dump());
  REQUIRE_MESSAGE(full.has_value(), full.error().message);
  CHECK(full->config.rope.theta == 300.0);
  CHECK(full->config.rope.factor == 2.0);
  CHECK_FALSE(full->config.sliding_rope.has_value());
  kinds["rope_parameters"]["rope_theta"] = 5.0;
  CHECK(error_of(kinds).find("rope_parameters.rope_theta stands beside") != std::string::npos);
  kinds["rope_parameters"] = {{"sliding_attention", {{"rope_theta", 300.0}}}};
  CHECK(error_of(kinds).find("rope_parameters.full_attention is missing") != std::string::npos);

  // With windows in some layers the other kind gets its own.
  json windows = bases()["qwen2"];
  windows["rope_parameters"] = {{"full_attention", {{"rope_theta", 300.0}}},
                                {"sliding_attention", {{"rope_theta", 40.0}}}};
  const auto both = recognise_hf_config(windows.dump());
  REQUIRE_MESSAGE(both.has_value(), both.error().message);
  CHECK(both->config.rope.theta == 300.0);
  REQUIRE(both->config.sliding_rope.has_value());
  CHECK(both->config.sliding_rope->theta == 40.0);
}

TEST_CASE("Gemma 3's rope_scaling needs rope_type, as transformers lays it over a default block") {
  const json base = bases()["gemma3_text"];
  json config = base;
  const auto read = [&](const json& scaling) {
    config["rope_scaling"] = scaling;
    auto found = recognise_hf_config(config.dump());
    REQUIRE_MESSAGE(found.has_value(), found.error().message);
    return *found;
  };
  const auto plain = read(nullptr);
  CHECK(plain.config.rope.scaling == moe::RopeScaling::none);
  for (const char* type : {"linear", "yarn"}) {
    CAPTURE(type);
    const auto old = read({{"type", type}, {"factor", 2.0}});
    CHECK(old.config == plain.config);
    REQUIRE(old.notes.size() == plain.notes.size() + 1);
    CHECK_MESSAGE(old.notes.back().find(std::string("rope_scaling.type is '") + type) != std::string::npos,
                  old.notes.back());
    const auto scaled = read({{"rope_type", type}, {"factor", 2.0}});
    CHECK(scaled.config.rope.scaling != moe::RopeScaling::none);
    CHECK(scaled.config.rope.factor == 2.0);
    CHECK(scaled.notes.size() == plain.notes.size());
    CHECK(read({{"rope_type", type}, {"type", "default"}, {"factor", 2.0}}).config == scaled.config);
  }
  CHECK(read({{"type", "default"}}).notes.size() == plain.notes.size());
  // The newer form's blocks take either name.
  config.erase("rope_scaling");
  config["rope_parameters"] = {{"full_attention", {{"type", "linear"}, {"factor", 2.0}}}};
  const auto newer = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(newer.has_value(), newer.error().message);
  CHECK(newer->config.rope.factor == 2.0);
}

TEST_CASE("architectures and model_type") {
  json config = bases()["mistral"];
  CHECK(recognise_hf_config(config.dump()).has_value());  // model_type alone
  config["architectures"] = {"MistralForCausalLM"};
  CHECK(recognise_hf_config(config.dump())->config.family == "mistral");
  config["model_type"] = "llama";
  CHECK(error_of(config).find("'MistralForCausalLM' and model_type is 'llama'") != std::string::npos);
  config["model_type"] = "a_name_of_its_own";  // as Kimi-K2 has
  CHECK(recognise_hf_config(config.dump()).has_value());
  for (const json& none : {json::array(), json("MistralForCausalLM"), json({7})})
    CHECK(error_of(with(config, "architectures", none)).find("architectures is ") != std::string::npos);
  config.erase("architectures");
  CHECK(error_of(config).find("is not known") != std::string::npos);
  json ernie = bases()["ernie4_5"];
  ernie["architectures"] = {"Ernie4_5ForCausalLM"};
  const auto usual = recognise_hf_config(ernie.dump());
  REQUIRE_MESSAGE(usual.has_value(), usual.error().message);
  ernie["architectures"] = {"Ernie4_5_ForCausalLM"};  // of ERNIE's own programs
  const auto own = recognise_hf_config(ernie.dump());
  REQUIRE_MESSAGE(own.has_value(), own.error().message);
  CHECK(own->config == usual->config);
}

TEST_CASE("an error that may come of a default says which keys the file leaves out") {
  json config = bases()["llama"];
  config.erase("num_attention_heads");
  config["num_key_value_heads"] = 5;
  const std::string heads = error_of(config);
  CHECK_MESSAGE(heads.find("does not give num_attention_heads") != std::string::npos, heads);

  const Scratch scratch;
  const fs::path model = kVariants / "llama";
  fs::copy_file(model / "model.safetensors", scratch.dir / "model.safetensors");
  for (const char* key : {"hidden_size", "vocab_size", "num_hidden_layers", "intermediate_size"}) {
    CAPTURE(key);
    json short_of = json::parse(moe_test::read_file(model / "config.json"));
    short_of.erase(key);
    scratch.write("config.json", short_of.dump());
    const auto loaded = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_FALSE(loaded.has_value());
    CHECK_MESSAGE(loaded.error().message.find(key) != std::string::npos, loaded.error().message);
  }
}

}  // namespace config_keys_test

// No key of config.json is ignored silently: it is read, refused, known to be irrelevant, or listed. And what a
// directory holds beside the tensors that the configuration asks for.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "arch/family.hpp"
#include "arch/unread_rules.hpp"
#include "checkpoint/checkpoint.hpp"
#include "moe/model.hpp"
#include "moe/quantize.hpp"
#include "moe/session.hpp"
#include "safetensors.hpp"
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

/// A directory of this test alone.
struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_config_keys") {}
  std::string path() const { return dir.string(); }
};

const fs::path kVariants = fs::path(MOE_SOURCE_DIR) / "tests/data/variants";

/// A safetensors file in memory: names, dtypes, shapes and bytes.
struct Tensors {
  struct One {
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::string bytes;
  };
  std::map<std::string, One> all;

  explicit Tensors(const fs::path& file) {
    const std::string text = moe_test::read_file(file);
    std::uint64_t header = 0;
    std::memcpy(&header, text.data(), sizeof header);
    const json list = json::parse(text.substr(8, header));
    for (const auto& [name, entry] : list.items()) {
      if (name == "__metadata__") continue;
      const auto begin = entry["data_offsets"][0].get<std::size_t>(), end = entry["data_offsets"][1].get<std::size_t>();
      all[name] = {entry["dtype"].get<std::string>(), entry["shape"].get<std::vector<std::int64_t>>(),
                   text.substr(8 + header + begin, end - begin)};
    }
  }
  std::string text() const {
    json header;
    std::string data;
    for (const auto& [name, tensor] : all) {
      header[name] = {{"dtype", tensor.dtype},
                      {"shape", tensor.shape},
                      {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
      data += tensor.bytes;
    }
    const std::string head = header.dump();
    const std::uint64_t size = head.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + head + data;
  }
};

std::vector<float> logits_of(const std::string& path) {
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  moe::SessionOptions options;
  options.precision = moe::Precision::reference;
  auto session = moe::Session::create(*model, options);
  REQUIRE(session.has_value());
  const std::vector<moe::TokenId> ids = {3, 17, 5, 29, 11};
  const moe::BatchItem item = {*(*session)->open(), ids, moe::Logits::last};
  auto out = (*session)->step({&item, 1});
  REQUIRE(out.has_value());
  return {out->logits.get(), out->logits.get() + out->vocab_size};
}

/// Llama's rows stand in another order in GGUF, and so do the terms of some sums.
double distance(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
  return worst;
}

}  // namespace

TEST_CASE("keys that change the arithmetic are refused by name, unless they say what is computed anyway") {
  struct Case {
    const char* family;
    const char* key;
    json refused, harmless;
  };
  const Case cases[] = {
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
      {"gemma3_text", "attn_logit_softcapping", 50.0, nullptr},
      {"gemma3_text", "final_logit_softcapping", 30.0, 0},
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
  const json all = bases();
  for (const Case& c : cases) {
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

TEST_CASE("a head of its own beside tie_word_embeddings wins, and a note says so") {
  const Scratch scratch;
  json config = json::parse(moe_test::read_file(kVariants / "llama/config.json"));
  Tensors tensors(kVariants / "llama/model.safetensors");
  const auto expected = logits_of((kVariants / "llama").string());
  REQUIRE(tensors.all.count("lm_head.weight") == 1);
  REQUIRE(config["tie_word_embeddings"] == false);
  const auto load = [&] {
    scratch.write("config.json", config.dump());
    scratch.write("model.safetensors", tensors.text());
    auto model = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    return *model;
  };
  config["tie_word_embeddings"] = true;
  const auto own = load();
  CHECK_FALSE(own->config().tie_word_embeddings);
  REQUIRE(own->info().notes.size() == 1);
  CHECK(own->info().notes[0].find("lm_head.weight is not model.embed_tokens.weight") != std::string::npos);
  CHECK(moe_test::same_bits(logits_of(scratch.path()), expected));
  const auto written = [&] {
    moe::QuantizeOptions options;
    options.type = moe::Format::f32;
    options.replace = true;
    auto report = moe::quantize(scratch.path(), scratch.path() + ".gguf", options);
    REQUIRE_MESSAGE(report.has_value(), report.error().message);
    return std::count_if(report->notes.begin(), report->notes.end(),
                         [](const std::string& note) { return note.find("tie_word_embeddings") != std::string::npos; });
  };
  CHECK(written() == 1);
  CHECK(distance(logits_of(scratch.path() + ".gguf"), expected) <= 1e-5);

  // The same values in another format are the same matrix; and its bytes count once.
  Tensors::One& head = tensors.all["lm_head.weight"];
  const Tensors::One embedding = tensors.all["model.embed_tokens.weight"];
  head.dtype = "F32";
  head.bytes.clear();
  for (std::size_t i = 0; i < embedding.bytes.size(); i += 2)
    head.bytes += std::string(2, '\0') + embedding.bytes.substr(i, 2);  // bf16 is the upper half of a float32
  const auto tied = load();
  CHECK(tied->config().tie_word_embeddings);
  CHECK(tied->info().notes.empty());
  const auto twice = logits_of(scratch.path());
  const std::int64_t touched = tied->info().touched_bytes;
  tensors.all.erase("lm_head.weight");
  CHECK(load()->info().touched_bytes == touched);
  CHECK(moe_test::same_bits(logits_of(scratch.path()), twice));

  // The one matrix may stand under the head's name.
  tensors.all["lm_head.weight"] = embedding;
  tensors.all.erase("model.embed_tokens.weight");
  CHECK(load()->config().tie_word_embeddings);
  CHECK(moe_test::same_bits(logits_of(scratch.path()), twice));
  CHECK(written() == 0);
  CHECK(distance(logits_of(scratch.path() + ".gguf"), twice) <= 1e-5);
  fs::remove(scratch.path() + ".gguf");

  tensors.all["model.embed_tokens.weight"] = embedding;
  tensors.all["lm_head.weight"].shape[0] -= 1;
  tensors.all["lm_head.weight"].bytes.resize(embedding.bytes.size() - 2 * static_cast<std::size_t>(embedding.shape[1]));
  scratch.write("model.safetensors", tensors.text());
  const auto torn = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_FALSE(torn.has_value());
  CHECK(torn.error().message.find("tensor lm_head.weight has shape") != std::string::npos);
}

TEST_CASE("leftover rotary tensors are not needed, and are named in a note") {
  const Scratch scratch;
  Tensors tensors(kVariants / "llama/model.safetensors");
  const auto expected = logits_of((kVariants / "llama").string());
  fs::copy_file(kVariants / "llama/config.json", scratch.dir / "config.json");
  for (const char* name : {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"})
    tensors.all[name] = {"F32", {4}, std::string(16, '\0')};
  scratch.write("model.safetensors", tensors.text());
  CHECK(moe_test::same_bits(logits_of(scratch.path()), expected));
  const auto info = moe::Model::inspect(scratch.path());
  REQUIRE(info.has_value());
  REQUIRE(info->notes.size() == 1);
  CHECK(info->notes[0].find("2 tensors of rotary frequencies") != std::string::npos);
}

TEST_CASE("a directory with one GGUF file is that file; with several their names are asked for") {
  const Scratch scratch;
  const fs::path file = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/gguf/qwen3_moe-q8_0.gguf";
  REQUIRE(fs::exists(file));
  const auto expected = moe::Model::inspect(file.string());
  REQUIRE(expected.has_value());
  const auto same_model = [&] {
    const auto info = moe::Model::inspect(scratch.path());
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    CHECK(info->hash == expected->hash);
    CHECK(moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional}).has_value());
  };
  fs::copy_file(file, scratch.dir / "one.gguf");
  same_model();
  scratch.write("README.md", "A model.");
  scratch.write("config.json", "{}");  // as some publishers leave beside it
  same_model();
  fs::copy_file(file, scratch.dir / "another.gguf");
  const auto two = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_FALSE(two.has_value());
  CHECK(two.error().code == ErrorCode::bad_argument);
  CHECK_MESSAGE(two.error().message.find("holds 2 GGUF files") != std::string::npos, two.error().message);
  CHECK(two.error().message.find("'another.gguf', 'one.gguf'") != std::string::npos);
  CHECK_FALSE(moe::Model::inspect(scratch.path()).has_value());
  // Weights as safetensors beside them: then the directory is the model, as before.
  fs::copy_file(kVariants / "llama/model.safetensors", scratch.dir / "model.safetensors");
  fs::remove(scratch.dir / "config.json");
  fs::copy_file(kVariants / "llama/config.json", scratch.dir / "config.json");
  const auto directory = moe::Model::inspect(scratch.path());
  REQUIRE_MESSAGE(directory.has_value(), directory.error().message);
  CHECK(directory->config.family == "llama");
}

TEST_CASE("the shards of one split GGUF file in a directory are one model") {
  const Scratch scratch;
  for (const char* name : {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"})
    scratch.write(name, "");
  const auto first = moe::checkpoint::gguf_of_directory(scratch.path());
  REQUIRE(first.has_value());
  CHECK(fs::path(*first).filename() == "m-00001-of-00003.gguf");
}

TEST_CASE("a value that is not finite is caught in every tensor of every family, and named") {
  const Scratch scratch;
  std::size_t checked = 0;
  for (const auto& entry : fs::directory_iterator(kVariants)) {
    if (!entry.is_directory()) continue;
    const Tensors original(entry.path() / "model.safetensors");
    fs::copy_file(entry.path() / "config.json", scratch.dir / "config.json", fs::copy_options::overwrite_existing);
    for (const auto& [key, tensor] : original.all) {
      const std::string& name = key;
      if (name.find("layers.0") != std::string::npos) continue;  // the last layers have all kinds
      CAPTURE(name);
      Tensors spoilt = original;
      const std::uint16_t code = checked % 2 == 0 ? 0x7fc0 : 0xff80;  // bf16: NaN, -infinity
      std::string& bytes = spoilt.all[name].bytes;
      REQUIRE(tensor.dtype == "BF16");
      std::memcpy(bytes.data() + bytes.size() - 2, &code, 2);
      scratch.write("model.safetensors", spoilt.text());
      const auto loaded = moe::Model::load(scratch.path(), {.tokenizer = moe::TokenizerUse::optional});
      REQUIRE_FALSE(loaded.has_value());
      CHECK_MESSAGE(loaded.error().message.find(name) != std::string::npos, loaded.error().message);
      ++checked;
    }
  }
  CHECK(checked > 200);
}

}  // namespace config_keys_test

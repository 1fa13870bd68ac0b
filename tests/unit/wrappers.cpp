// Checkpoints of several models, and lists of layers that contradict themselves or each other.

#include <nlohmann/json.hpp>

#include "arch/family.hpp"
#include "arch/wrappers.hpp"
#include "moe/model.hpp"
#include "moe/outline.hpp"
#include "safetensors.hpp"
#include "scratch_dir.hpp"

namespace wrappers_test {

namespace {

namespace fs = std::filesystem;
using moe::arch::recognise_hf_config;
using nlohmann::json;

json base(const std::string& family) {
  const auto path = fs::path(MOE_SOURCE_DIR) / "tests/data/defaults/cases.json";
  return json::parse(moe_test::read_file(path))["families"][family]["base"];
}

json wrapped(const moe::arch::Wrapper& wrapper, const moe::arch::WrappedText& text) {
  json inner = base(std::string(text.family));
  inner["model_type"] = text.model_type;
  return {{"architectures", {wrapper.hf_architecture}},
          {"model_type", wrapper.model_type},
          {"text_config", inner},
          {"vision_config", {{"hidden_size", 16}}}};
}

std::string refusal(const json& config) {
  const auto read = recognise_hf_config(config.dump());
  return read ? "" : read.error().message;
}

/// The file with other names, values as they are.
std::string renamed(const fs::path& path, const std::map<std::string, std::string>& prefixes, bool towers) {
  const auto tensors = moe_test::read_safetensors(path);
  json header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    std::string to = name;
    for (const auto& [from, prefix] : prefixes)
      if (name.starts_with(from)) to = prefix + name.substr(from.size());
    header[to] = {{"dtype", tensor.dtype},
                  {"shape", tensor.shape},
                  {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  for (int i = 0; towers && i < 2; ++i) {  // one of them of a type that no kernel reads
    const std::string name = i == 0 ? "vision_tower.patch.weight" : "model.multi_modal_projector.positions";
    header[name] = {{"dtype", i == 0 ? "F32" : "I64"},
                    {"shape", {3, 4}},
                    {"data_offsets", {data.size(), data.size() + (i + 1) * 48}}};
    data += std::string(static_cast<std::size_t>(i + 1) * 48, '\0');
  }
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + text + data;
}

}  // namespace

TEST_CASE("a wrapper's text model is the one that a file of its own describes") {
  int compared = 0;
  for (const moe::arch::Wrapper& wrapper : moe::arch::wrappers())
    for (const moe::arch::WrappedText& text : wrapper.texts) {
      CAPTURE(wrapper.hf_architecture);
      CAPTURE(text.model_type);
      const auto inside = recognise_hf_config(wrapped(wrapper, text).dump());
      const auto alone = recognise_hf_config(base(std::string(text.family)).dump());
      REQUIRE_MESSAGE(inside.has_value(), inside.error().message);
      REQUIRE_MESSAGE(alone.has_value(), alone.error().message);
      CHECK(inside->config == alone->config);
      CHECK(inside->unread_keys.empty());
      CHECK(inside->notes.empty());
      ++compared;
    }
  CHECK(compared >= 5);
}

TEST_CASE("what is wrong or unknown in a wrapper is named with its place") {
  const moe::arch::Wrapper& wrapper = *moe::arch::wrapper_of("Mistral3ForConditionalGeneration", "mistral3");
  const json good = wrapped(wrapper, wrapper.texts.front());
  json config = good;
  config["text_config"]["hidden_size"] = "wide";
  CHECK(refusal(config).find("text_config.hidden_size is \"wide\"") != std::string::npos);
  config = good;
  config["text_config"]["clip_qkv"] = 8.0;
  config["text_config"]["residual_multiplier"] = 0.5;
  CHECK(refusal(config).find("text_config.clip_qkv is 8.0") != std::string::npos);
  CHECK(refusal(config).find("residual_multiplier 0.5") != std::string::npos);  // all of them at once
  config = good;
  config.erase("text_config");
  CHECK(refusal(config).find("text_config is missing") != std::string::npos);
  config = good;
  config["text_config"]["model_type"] = "mamba";
  CHECK(refusal(config).find("text_config.model_type is 'mamba', expected mistral, ministral3") != std::string::npos);
  config = good;
  config["surprise"] = 1;
  config["text_config"]["wonder"] = 2;
  const auto read = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(read.has_value(), read.error().message);
  CHECK(read->unread_keys == std::vector<std::string>{"text_config.wonder", "surprise"});
  // Where most published wrappers have it.
  config["quantization_config"] = {
      {"quant_method", "fp8"}, {"activation_scheme", "static"}, {"modules_to_not_convert", {"model.visual"}}};
  const auto coded = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(coded.has_value(), coded.error().message);
  CHECK(coded->unread_keys == read->unread_keys);
}

TEST_CASE("tie_word_embeddings of the text model counts, that outside where there is none") {
  const moe::arch::Wrapper& wrapper = *moe::arch::wrapper_of("Mistral3ForConditionalGeneration", "mistral3");
  json config = wrapped(wrapper, wrapper.texts.front());
  config["text_config"]["tie_word_embeddings"] = false;
  config["tie_word_embeddings"] = true;
  const auto both = recognise_hf_config(config.dump());
  REQUIRE(both.has_value());
  CHECK_FALSE(both->config.tie_word_embeddings);
  CHECK(both->notes.size() == 1);
  config["text_config"].erase("tie_word_embeddings");
  CHECK(recognise_hf_config(config.dump())->config.tie_word_embeddings);
  config.erase("tie_word_embeddings");
  CHECK_FALSE(recognise_hf_config(config.dump())->config.tie_word_embeddings);  // the text class's default
}

TEST_CASE("tensors of a wrapper: every prefix is read, other towers are counted") {
  const fs::path model = fs::path(MOE_SOURCE_DIR) / "tests/data/variants/mistral";
  if (!fs::exists(model / "model.safetensors")) return moe_test::report_skip("wrapped tensors", "no small Mistral");
  const json inner = json::parse(moe_test::read_file(model / "config.json"));
  const auto alone = moe::Model::inspect(model.string());
  REQUIRE_MESSAGE(alone.has_value(), alone.error().message);
  const moe_test::ScratchDir scratch("moe_wrappers");
  scratch.write(
      "config.json",
      json{{"architectures", {"Mistral3ForConditionalGeneration"}}, {"model_type", "mistral3"}, {"text_config", inner}}
          .dump());
  using Prefixes = std::map<std::string, std::string>;
  for (const auto& prefixes : {Prefixes{{"model.", "language_model.model."}, {"lm_head.", "language_model.lm_head."}},
                               Prefixes{{"model.", "model.language_model."}}, Prefixes{}}) {
    scratch.write("model.safetensors", renamed(model / "model.safetensors", prefixes, true));
    const auto info = moe::Model::inspect(scratch.dir.string());
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    CHECK(info->total_parameters == alone->total_parameters);
    CHECK(info->weight_bytes == alone->weight_bytes);
    CHECK(info->touched_bytes == alone->touched_bytes);
    CHECK(info->tower_tensors == 2);
    CHECK(info->tower_parameters == 24);
  }
  scratch.write("model.safetensors",
                renamed(model / "model.safetensors", {{"model.", "language_model.model."}}, false));
  const auto headless = moe::Model::inspect(scratch.dir.string());
  if (!alone->config.tie_word_embeddings) {  // the head under that name is nobody's
    REQUIRE_FALSE(headless.has_value());
    // The head becomes another tower's: the text model has none, and the wrapper's own class ties unless it is told.
    scratch.write("model.safetensors",
                  renamed(model / "model.safetensors",
                          {{"model.", "language_model.model."}, {"lm_head.", "vision_tower.head."}}, false));
    for (const json& outer : {json(true), json(), json(false)}) {
      CAPTURE(outer.dump());
      json config = {
          {"architectures", {"Mistral3ForConditionalGeneration"}}, {"model_type", "mistral3"}, {"text_config", inner}};
      config["text_config"]["tie_word_embeddings"] = false;
      if (!outer.is_null()) config["tie_word_embeddings"] = outer;
      scratch.write("config.json", config.dump());
      const auto tied = moe::Model::inspect(scratch.dir.string());
      if (outer == json(false)) {
        REQUIRE_FALSE(tied.has_value());
        CHECK(tied.error().message.find("language_model.lm_head.weight") != std::string::npos);
        continue;
      }
      REQUIRE_MESSAGE(tied.has_value(), tied.error().message);
      CHECK(tied->config.tie_word_embeddings);
      CHECK(std::any_of(tied->notes.begin(), tied->notes.end(),
                        [](const std::string& note) { return note.find("there is no head") != std::string::npos; }));
    }
  }
}

TEST_CASE("lists of layers that contradict themselves or each other are errors that name both") {
  const auto check = [](const std::string& family, const json& changes, const char* expected) {
    json config = base(family);
    config.update(changes);
    CAPTURE(config.dump());
    const std::string message = refusal(config);
    CHECK_MESSAGE(message.find(expected) != std::string::npos, message);
  };
  const json dense(6, "dense"), sparse(6, "sparse");
  for (const char* family : {"glm4_moe_lite", "hy_v3"}) {
    check(family, {{"mlp_layer_types", {"dense", "sparse"}}}, "mlp_layer_types has 2 entries, expected 6");
    check(family, {{"mlp_layer_types", {"dense", "sparse", "sparse", "thick", "sparse", "sparse"}}},
          "mlp_layer_types holds 'thick'");
    check(family,
          {{"mlp_layer_types", {"dense", "sparse", "sparse", "sparse", "sparse", "sparse"}},
           {"first_k_dense_replace", 2}},
          "first_k_dense_replace is 2, but mlp_layer_types");
    check(
        family,
        {{"mlp_layer_types", {"dense", "sparse", "dense", "sparse", "sparse", "sparse"}}, {"first_k_dense_replace", 1}},
        "first_k_dense_replace is 1, but mlp_layer_types");
  }
  check("smollm3", {{"no_rope_layers", {1, 0}}}, "no_rope_layers has 2 entries, expected 6");
  check("smollm3", {{"no_rope_layers", {1, 0, 1, 2, 1, 1}}}, "no_rope_layers holds 2 for layer 3");
  check("smollm3", {{"layer_types", json(6, "sliding_attention")}, {"use_sliding_window", false}}, "layer_types holds");
  check("olmo3", {{"layer_types", json(5, "full_attention")}}, "layer_types has 5 entries, expected 6");
  check("olmo3", {{"layer_types", json(6, "linear_attention")}}, "layer_types holds 'linear_attention'");
  check("minimax_m2", {{"attn_type_list", {1, 1, 0, 1, 1, 1}}}, "attn_type_list");
  check("minimax_m2", {{"rotary_dim", 22}}, "rotary_dim is 22");
  const json factors = {{"rope_type", "longrope"}, {"short_factor", {1.0, 1.0}}, {"long_factor", {1.0}}};
  check("phi3", {{"rope_scaling", factors}}, "short_factor has 2 numbers, expected 6");
  check("phi3", {{"rope_scaling", {{"rope_type", "linear"}, {"factor", 2.0}}}}, "rope type 'linear' is not known here");
}

TEST_CASE("irregular dense layers and layers without RoPE reach the model") {
  json config = base("hy_v3");
  config["mlp_layer_types"] = {"dense", "sparse", "dense", "sparse", "sparse", "dense"};
  const auto hy = recognise_hf_config(config.dump());
  REQUIRE_MESSAGE(hy.has_value(), hy.error().message);
  CHECK(hy->config.first_k_dense_replace == 1);
  CHECK(hy->config.mlp_only_layers == std::vector<std::int64_t>{2, 5});
  config = base("smollm3");
  const auto every_third = recognise_hf_config(config.dump());
  CHECK(every_third->config.nope_layers == std::vector<std::int64_t>{2, 5});
  CHECK(every_third->config.sliding_layers == every_third->config.nope_layers);
  config["no_rope_layers"] = {0, 1, 1, 0, 1, 1};
  CHECK(recognise_hf_config(config.dump())->config.nope_layers == std::vector<std::int64_t>{0, 3});
  config["no_rope_layers"] = {0, 1, 1, 0, 1, 1, 0, 0};  // of a model that was cut to six layers
  CHECK(recognise_hf_config(config.dump())->config.nope_layers == std::vector<std::int64_t>{0, 3});
}

TEST_CASE("an unsupported model is outlined") {
  const moe_test::ScratchDir scratch("moe_outline");
  json config = base("qwen3_moe");
  config["architectures"] = {"SurpriseForCausalLM"};
  config["model_type"] = "surprise";
  config["linear_num_key_heads"] = 16;
  config["layer_types"] = {
      "linear_attention", "linear_attention", "full_attention", "linear_attention", "conv", "conv"};
  scratch.write("config.json", config.dump());
  const auto outline = moe::outline(scratch.dir.string());
  REQUIRE_MESSAGE(outline.has_value(), outline.error().message);
  CHECK(outline->family == "SurpriseForCausalLM (surprise)");
  CHECK(outline->missing == std::vector<std::string>{"layers of the kind 'conv' (2 of 6)",
                                                     "layers of the kind 'linear_attention' (3 of 6)",
                                                     "linear_num_key_heads 16"});
  CHECK(outline->layer_count == 6);
  CHECK(outline->expert_count == 24);
  CHECK(outline->parameters > 0);
  CHECK(outline->flops_per_token > 0);
  CHECK(outline->tensor_parameters == 0);
  scratch.write("config.json", R"({"architectures": ["SurpriseForCausalLM"], "n": "1"})");
  const auto bare = moe::outline(scratch.dir.string());
  REQUIRE(bare.has_value());
  CHECK(bare->parameters == 0);
  CHECK(bare->missing == std::vector<std::string>{"the family"});
  scratch.write("config.json", R"({"num_hidden_layers": 99999999999, "hidden_size": 8, "vocab_size": 9})");
  CHECK(moe::outline(scratch.dir.string())->parameters == 0);
  scratch.write("config.json", "[]");
  CHECK_FALSE(moe::outline(scratch.dir.string()).has_value());
}

static std::vector<std::string> missing_of(const moe_test::ScratchDir& scratch, const json& config) {
  scratch.write("config.json", config.dump());
  const auto outline = moe::outline(scratch.dir.string());
  REQUIRE_MESSAGE(outline.has_value(), outline.error().message);
  return outline->missing;
}

TEST_CASE("what an unknown model needs is named whole") {
  const moe_test::ScratchDir scratch("moe_outline");
  const auto missing = [&](const json& config) { return missing_of(scratch, config); };
  json config = base("deepseek_v3");
  config["architectures"] = {"DeepseekV4ForCausalLM"};
  config["model_type"] = "deepseek_v4";
  config.update({{"hc_mult", 4},
                 {"compress_ratios", {0, 4, 128}},
                 {"compress_rope_theta", 160000.0},
                 {"num_hash_layers", 1},
                 {"o_groups", 2},
                 {"o_lora_rank", 24},
                 {"scoring_func", "sqrtsoftplus"},
                 {"topk_method", "noaux_tc"},
                 {"mlp_layer_types", {"hash_moe", "moe", "moe"}}});
  CHECK(missing(config) == std::vector<std::string>{"FFNs of the kind 'hash_moe' (1 of 3)", "compress_ratios [0,4,128]",
                                                    "compress_rope_theta 160000.0", "hc_mult 4", "num_hash_layers 1",
                                                    "o_groups 2", "o_lora_rank 24", "scoring_func \"sqrtsoftplus\""});
  // Llama 4, whose text model has layers without RoPE that differ from the others in more than that.
  json text = base("llama");
  text.update({{"model_type", "llama4_text"},
               {"num_local_experts", 16},
               {"num_experts_per_tok", 1},
               {"num_hidden_layers", 4},
               {"attention_chunk_size", 8192},
               {"attn_temperature_tuning", true},
               {"interleave_moe_layer_step", 2},
               {"intermediate_size_mlp", 16384},
               {"no_rope_layers", {1, 1, 1, 0}}});
  const json wrapper = {{"architectures", {"Llama4ForConditionalGeneration"}}, {"model_type", "llama4"}};
  const auto llama = [&] {
    json out = wrapper;
    out["text_config"] = text;
    return missing(out);
  };
  CHECK(llama() == std::vector<std::string>{"attention_chunk_size 8192", "attn_temperature_tuning true",
                                            "interleave_moe_layer_step 2", "intermediate_size_mlp 16384",
                                            "no_rope_layers [1,1,1,0]"});
  text["no_rope_layers"] = {1, 1, 1, 1};
  text["interleave_moe_layer_step"] = 1;
  CHECK(llama().size() == 3);
}

TEST_CASE("a known family lacks what its refusal is about, and a supported model nothing") {
  const moe_test::ScratchDir scratch("moe_outline");
  const auto missing = [&](const json& config) { return missing_of(scratch, config); };
  const auto cases = json::parse(moe_test::read_file(fs::path(MOE_SOURCE_DIR) / "tests/data/defaults/cases.json"));
  for (const auto& family : cases["families"].items()) {
    CAPTURE(family.key());
    json config = family.value()["base"];
    CHECK(missing(config) == std::vector<std::string>{});
    config["quantization_config"] = {{"quant_method", "bitsandbytes"}};
    const auto lacks = missing(config);
    REQUIRE(lacks.size() == 1);
    CHECK(lacks[0].starts_with("quantization_config.quant_method is 'bitsandbytes'"));
  }
  json config = base("llama");
  config["clip_qkv"] = 8;
  config["o_groups"] = 2;
  CHECK(missing(config) == std::vector<std::string>{"clip_qkv is 8", "o_groups 2"});
  for (const auto& wrapper : moe::arch::wrappers()) {
    config = wrapped(wrapper, wrapper.texts.front());
    CHECK(missing(config) == std::vector<std::string>{});
    config["text_config"]["model_type"] = "surprise";
    CHECK_FALSE(missing(config).empty());
  }
}

}  // namespace wrappers_test

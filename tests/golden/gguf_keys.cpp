// Keys of a GGUF file: windows, RoPE, the architecture, and what nothing reads.

#include "golden/folder_writer.hpp"
#include "golden/gguf_files.hpp"

namespace gguf_keys_test {

namespace {

using namespace gguf_files;
using nlohmann::json;

/// A header without weights: what a family reads of it.
moe::Result<moe::arch::Recognised> recognise(std::string_view architecture, void (*more)(File&),
                                             const std::string& path) {
  File file;
  file.metadata.text("general.architecture", architecture);
  const auto key = [&](const char* name) { return std::string(architecture) + "." + name; };
  for (const auto& [name, value] : {std::pair{"block_count", 4u},
                                    {"embedding_length", 64u},
                                    {"attention.head_count", 4u},
                                    {"feed_forward_length", 32u},
                                    {"context_length", 256u}})
    file.metadata.u32(key(name), value);
  file.metadata.f32(key("attention.layer_norm_rms_epsilon"), 1e-6f);
  file.tensors["token_embd.weight"] = {{8, 64}, std::string(8 * 64 * sizeof(float), '\0')};
  more(file);
  write_gguf(file, path);
  const auto opened = moe::checkpoint::open(path);
  REQUIRE(opened.has_value());
  return moe::arch::recognise(**opened);
}

using Layers = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("windows of a GGUF file: a period, a list, or the family's own") {
  const GgufScratch scratch;
  const auto layers = [&](std::string_view architecture, void (*more)(File&)) {
    const auto found = recognise(architecture, more, scratch.file("x.gguf"));
    if (!found) FAIL(found.error().message);
    CHECK(found->config.sliding_window == (found->config.sliding_layers.empty() ? 0 : 8));
    return found->config.sliding_layers;
  };
  CHECK(layers("gemma3", [](File&) {}) == Layers{});
  CHECK(layers("gemma3", [](File& f) { f.metadata.u32("gemma3.attention.sliding_window", 8); }) == Layers{0, 1, 2, 3});
  CHECK(layers("gemma3", [](File& f) {
          f.metadata.u32("gemma3.attention.sliding_window", 8);
          f.metadata.u32("gemma3.attention.sliding_window_pattern", 3);
        }) == Layers{0, 1, 3});
  CHECK(layers("gemma3", [](File& f) {
          f.metadata.u32("gemma3.attention.sliding_window", 8);
          f.metadata.integers("gemma3.attention.sliding_window_pattern", std::vector<std::int32_t>{0, 1, 1, 0});
        }) == Layers{1, 2});
  const auto booleans = [](File& f) {
    f.metadata.u32("gemma3.attention.sliding_window", 8);
    // An array (9) of booleans (7), their number, and one byte each.
    const unsigned char value[] = {9, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1};
    f.metadata.raw("gemma3.attention.sliding_window_pattern", std::as_bytes(std::span(value)));
  };
  CHECK(layers("gemma3", booleans) == Layers{0, 1, 2, 3});
  const auto wrong = recognise(
      "gemma3",
      [](File& f) {
        f.metadata.u32("gemma3.attention.sliding_window", 8);
        f.metadata.integers("gemma3.attention.sliding_window_pattern", std::vector<std::int32_t>{0, 1});
      },
      scratch.file("x.gguf"));
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error().message.find("sliding_window_pattern has 2 entries, expected 4") != std::string::npos);
}

TEST_CASE("the first Gemma 2 files say nothing of windows and caps: those of the published models hold") {
  const GgufScratch scratch;
  const auto old = recognise(
      "gemma2", [](File&) {}, scratch.file("x.gguf"));
  REQUIRE_MESSAGE(old.has_value(), old.error().message);
  CHECK(old->config.sliding_window == 4096);
  CHECK(old->config.sliding_layers == Layers{0, 2});
  CHECK(old->config.attn_logit_softcapping == 50.0);
  CHECK(old->config.final_logit_softcapping == 30.0);
  const auto none = recognise(
      "gemma2",
      [](File& f) {
        f.metadata.u32("gemma2.attention.sliding_window", 0);
        f.metadata.f32("gemma2.attn_logit_softcapping", 0.0f);
        f.metadata.f32("gemma2.final_logit_softcapping", 0.0f);
      },
      scratch.file("x.gguf"));
  REQUIRE_MESSAGE(none.has_value(), none.error().message);
  CHECK(none->config.sliding_layers.empty());
  CHECK(none->config.attn_logit_softcapping == 0.0);
  CHECK(none->config.final_logit_softcapping == 0.0);
}

TEST_CASE("a Gemma 2 directory without caps and windows keeps none in GGUF") {
  const GgufScratch scratch;
  const fs::path source = fs::path(MOE_SOURCE_DIR) / "tests/data/shapes/gemma2";
  json config = read_config(source);
  config["attn_logit_softcapping"] = nullptr, config["final_logit_softcapping"] = nullptr;
  config["query_pre_attn_scalar"] = config["head_dim"];  // as GGUF means it
  config["layer_types"] = json(config["num_hidden_layers"].get<std::size_t>(), "full_attention");
  write_folder(scratch.dir / "plain", config, read_safetensors(source / "model.safetensors"));
  const auto written = to_f32(scratch.dir / "plain", scratch.file("plain.gguf"));
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  CHECK(same_bits(logits_of(scratch.file("plain.gguf")), logits_of((scratch.dir / "plain").string())));
}

namespace {

/// A deepseek2 header without weights.
void add_deepseek2(File& f, std::uint32_t experts) {
  for (const auto& [name, value] : {std::pair{"attention.kv_lora_rank", 16u},
                                    {"rope.dimension_count", 8u},
                                    {"attention.key_length", 24u},
                                    {"attention.value_length", 16u},
                                    {"leading_dense_block_count", 1u},
                                    {"expert_feed_forward_length", 8u},
                                    {"expert_count", experts},
                                    {"expert_used_count", 2u}})
    f.metadata.u32(std::string("deepseek2.") + name, value);
}

void add_selection_bias(File& f, std::int64_t experts) {
  f.tensors["blk.1.exp_probs_b.bias"] = {{experts},
                                         std::string(static_cast<std::size_t>(experts) * sizeof(float), '\0')};
}

moe::arch::Recognised recognise_deepseek2(const GgufScratch& scratch, void (*more)(File&)) {
  const auto found = recognise("deepseek2", more, scratch.file("x.gguf"));
  REQUIRE_MESSAGE(found.has_value(), found.error().message);
  return *found;
}

}  // namespace

// GLM-4.7-Flash's config.json does not name the function, so its files do not either.
TEST_CASE("deepseek2 files without a gating function: a selection bias is V3's router") {
  const GgufScratch scratch;
  const auto read = [&](void (*more)(File&)) { return recognise_deepseek2(scratch, more).config; };
  const moe::ModelConfig v2 = read([](File& f) { add_deepseek2(f, 4); });
  CHECK(v2.family == "deepseek_v2");
  CHECK(v2.router.score == moe::RouterScore::softmax);
  const moe::ModelConfig flash = read([](File& f) { add_deepseek2(f, 4), add_selection_bias(f, 4); });
  CHECK(flash.family == "deepseek_v3");
  CHECK(flash.router.score == moe::RouterScore::sigmoid);
  CHECK(flash.router.selection_bias);
  CHECK(flash == read([](File& f) {
          add_deepseek2(f, 4), add_selection_bias(f, 4);
          f.metadata.u32("deepseek2.expert_gating_func", 2);
        }));
}

TEST_CASE("DeepSeek-V3 files from before groups were stored are read with a note") {
  const GgufScratch scratch;
  const auto notes = [&](void (*more)(File&)) { return recognise_deepseek2(scratch, more).notes; };
  const auto old = notes([](File& f) { add_deepseek2(f, 256), add_selection_bias(f, 256); });
  REQUIRE(old.size() == 1);
  CHECK(old[0].find("expert_group_count") != std::string::npos);
  CHECK(notes([](File& f) {
          add_deepseek2(f, 256), add_selection_bias(f, 256);
          f.metadata.u32("deepseek2.expert_group_count", 8);
          f.metadata.u32("deepseek2.expert_group_used_count", 4);
        }).empty());
}

TEST_CASE("rope keys of a GGUF file") {
  const GgufScratch scratch;
  const auto read = [&](void (*more)(File&)) { return recognise("llama", more, scratch.file("x.gguf")); };
  const auto rope = [&](void (*more)(File&)) {
    const auto found = read(more);
    if (!found) FAIL(found.error().message);
    return found->config.rope;
  };
  for (const auto linear : {+[](File& f) { f.metadata.f32("llama.rope.scaling.factor", 4.0f); },
                            +[](File& f) { f.metadata.f32("llama.rope.scale_linear", 4.0f); }}) {
    CHECK(rope(linear).scaling == moe::RopeScaling::linear);
    CHECK(rope(linear).factor == 4.0);
  }
  const auto none = [](File& f) {
    f.metadata.text("llama.rope.scaling.type", "none");
    f.metadata.f32("llama.rope.scaling.factor", 4.0f);
  };
  CHECK(rope(none).scaling == moe::RopeScaling::none);
  const auto yarn = [](File& f) {
    f.metadata.text("llama.rope.scaling.type", "yarn");
    f.metadata.f32("llama.rope.scaling.factor", 4.0f);
    f.metadata.u32("llama.rope.scaling.original_context_length", 64);
    f.metadata.f32("llama.rope.scaling.yarn_attn_factor", 1.5f);
  };
  CHECK(rope(yarn).attention_factor == 1.5);
  CHECK(rope(yarn).original_max_position == 64);
  const auto factors = [](File& f) { f.tensors["rope_freqs.weight"] = {{8}, std::string(8 * sizeof(float), '\x40')}; };
  CHECK(rope(factors).scaling == moe::RopeScaling::factors);
  CHECK(rope(factors).frequency_factors == std::vector<double>(8, 0x1.80808p+1));
  const auto too_few = read([](File& f) { f.tensors["rope_freqs.weight"] = {{4}, std::string(16, '\x40')}; });
  REQUIRE_FALSE(too_few.has_value());
  CHECK(too_few.error().message.find("tensor rope_freqs.weight has shape [4] of f32, expected [8]") !=
        std::string::npos);
  for (const auto& [text, bad] : {std::pair{"'longrope' is not known",
                                            +[](File& f) {
                                              f.metadata.text("llama.rope.scaling.type", "longrope");
                                              f.metadata.f32("llama.rope.scaling.factor", 4.0f);
                                            }},
                                  {"rope.dimension_count is 8, expected 16",
                                   +[](File& f) { f.metadata.u32("llama.rope.dimension_count", 8); }}}) {
    const auto found = read(bad);
    REQUIRE_FALSE(found.has_value());
    CHECK(found.error().message.find(text) != std::string::npos);
  }
}

namespace {

moe::Result<moe::arch::Recognised> recognise_llama(const GgufScratch& scratch, void (*more)(File&)) {
  return recognise("llama", more, scratch.file("x.gguf"));
}

}  // namespace

TEST_CASE("keys of a GGUF file that nothing reads are refused where they change the arithmetic") {
  const GgufScratch scratch;
  using Change = void (*)(File&);
  for (const auto& [name, change] : std::vector<std::pair<const char*, Change>>{
           {"attn_logit_softcapping", [](File& f) { f.metadata.f32("llama.attn_logit_softcapping", 50.0f); }},
           {"final_logit_softcapping", [](File& f) { f.metadata.f32("llama.final_logit_softcapping", 30.0f); }},
           {"logit_scale", [](File& f) { f.metadata.f32("llama.logit_scale", 0.5f); }},
           {"attention.clamp_kqv", [](File& f) { f.metadata.f32("llama.attention.clamp_kqv", 8.0f); }},
           {"attention.causal", [](File& f) { f.metadata.boolean("llama.attention.causal", false); }},
           {"attention.sliding_window", [](File& f) { f.metadata.u32("llama.attention.sliding_window", 8); }},
           {"attention.scale", [](File& f) { f.metadata.f32("llama.attention.scale", 0.5f); }},
           {"residual_scale", [](File& f) { f.metadata.f32("llama.residual_scale", 0.25f); }},
           {"rope.freq_base_swa", [](File& f) { f.metadata.f32("llama.rope.freq_base_swa", 5.0f); }},
           {"ssm.conv_kernel", [](File& f) { f.metadata.u32("llama.ssm.conv_kernel", 4); }},
           {"attention.kv_lora_rank", [](File& f) { f.metadata.u32("llama.attention.kv_lora_rank", 8); }}}) {
    const char* key = name;
    CAPTURE(key);
    const auto found = recognise_llama(scratch, change);
    REQUIRE_FALSE(found.has_value());
    CHECK_MESSAGE(found.error().message.find(std::string("metadata llama.") + key) != std::string::npos,
                  found.error().message);
  }
  // What a message says was expected is said once, also where the family computes the neutral value.
  const auto chunks = recognise_llama(scratch, [](File& f) { f.metadata.u32("llama.attention.sliding_window", 8); });
  REQUIRE_FALSE(chunks.has_value());
  CHECK_MESSAGE(chunks.error().message.ends_with("expected 0"), chunks.error().message);
}

TEST_CASE("other keys of a GGUF file that nothing reads are listed, unless they are known to be harmless") {
  const GgufScratch scratch;
  // What a family reads, or what says the same as libmoe computes, is no surprise.
  const auto harmless = recognise_llama(scratch, [](File& f) {
    f.metadata.f32("llama.logit_scale", 1.0f);
    f.metadata.boolean("llama.attention.causal", true);
    f.metadata.f32("llama.attention.scale", 0.25f);  // of heads of 16 values
    f.metadata.u32("llama.vocab_size", 8);
    f.metadata.u32("llama.attention.sliding_window", 0);
    f.metadata.text("general.name", "a name");
    f.metadata.text("general.base_model.0.name", "another");
    f.metadata.text("quantize.imatrix.file", "a file");
    f.metadata.text("tokenizer.ggml.model", "no_vocab");
    f.metadata.text("tokenizer.chat_template", "{{ messages }}");
    f.metadata.u32("tokenizer.ggml.padding_token_id", 0);
  });
  if (!harmless) FAIL(harmless.error().message);
  CHECK(harmless->unread_keys.empty());
  const auto unknown = recognise_llama(scratch, [](File& f) {
    f.metadata.f32("llama.made_up", 1.0f);
    f.metadata.u32("gemma3.context_length", 8);  // of another architecture
    f.metadata.u32("made.up", 8);
    f.metadata.u32("tokenizer.ggml.eos_token_ids", 3);
    f.metadata.boolean("tokenizer.ggml.remove_extra_whitespaces", true);
    f.metadata.text("tokenizer.made_up", "");
    f.metadata.f32("general.sampling.temp", 0.5f);
    f.metadata.u32("split.made_up", 1);
    f.metadata.u32("quantize.made_up", 1);
  });
  if (!unknown) FAIL(unknown.error().message);
  CHECK(unknown->unread_keys ==
        std::vector<std::string>{"llama.made_up", "gemma3.context_length", "general.sampling.temp", "made.up",
                                 "quantize.made_up", "split.made_up", "tokenizer.ggml.eos_token_ids",
                                 "tokenizer.ggml.remove_extra_whitespaces", "tokenizer.made_up"});
}

TEST_CASE("keys of experts that one architecture reads are refused in another that would ignore them") {
  const GgufScratch scratch;
  const auto experts = [](File& f) {
    f.metadata.u32("llama.expert_count", 4);
    f.metadata.u32("llama.expert_used_count", 2);
  };
  CHECK(recognise_llama(scratch, experts).has_value());
  const auto gated = recognise_llama(scratch, [](File& f) {
    f.metadata.u32("llama.expert_count", 4);
    f.metadata.u32("llama.expert_used_count", 2);
    f.metadata.u32("llama.expert_gating_func", 2);
  });
  REQUIRE_FALSE(gated.has_value());
  CHECK(gated.error().message.find("llama.expert_gating_func is 2") != std::string::npos);
}

TEST_CASE("no golden GGUF file has a key that libmoe does not know") {
  int checked = 0;
  for (const GoldenCase& c : golden_cases())
    if (c.model.extension() == ".gguf" && !is_later_family(c)) {
      const auto info = moe::Model::inspect(c.model.string());
      REQUIRE_MESSAGE(info.has_value(), info.error().message);
      CHECK(info->unread_keys.empty());
      CHECK(info->notes.empty());
      ++checked;
    }
  CHECK(checked > 0);
}

namespace {

/// A header of layers 0 and 2 with Mamba-2 and 1 and 3 with attention.
moe::Result<moe::arch::Recognised> recognise_mamba(std::string_view architecture, void (*more)(File&),
                                                   const std::string& path) {
  static std::string name;
  static void (*others)(File&);
  name = architecture, others = more;
  return recognise(
      architecture,
      [](File& f) {
        for (const auto& [key, value] : {std::pair{"conv_kernel", 4u},
                                         {"group_count", 2u},
                                         {"time_step_rank", 4u},
                                         {"state_size", 8u},
                                         {"inner_size", 48u}})
          f.metadata.u32(name + ".ssm." + key, value);
        f.metadata.integers(name + ".attention.head_count_kv", std::vector<std::int32_t>{0, 2, 0, 2});
        others(f);
      },
      path);
}

}  // namespace

TEST_CASE("Granite's hybrids: the switch of RoPE, scales of 0, FFNs with and without experts") {
  const GgufScratch scratch;
  const auto config = [&](void (*more)(File&)) {
    const auto found = recognise_mamba("granitehybrid", more, scratch.file("x.gguf"));
    if (!found) FAIL(found.error().message);
    CHECK(found->unread_keys.empty());
    return found->config;
  };
  const moe::ModelConfig plain = config([](File&) {});
  CHECK(plain.nope_layers.empty());
  CHECK(plain.rope.style == moe::RopeStyle::interleaved);
  CHECK(plain.intermediate_size == 32);
  CHECK(plain.recurrent.value_dim == 12);
  CHECK_FALSE(plain.recurrent.conv_bias);
  const std::vector<moe::Mixer> kinds = {moe::Mixer::mamba2, moe::Mixer::attention, moe::Mixer::mamba2,
                                         moe::Mixer::attention};
  CHECK(plain.mixers == kinds);
  CHECK(config([](File& f) { f.metadata.boolean("granitehybrid.rope.scaling.finetuned", false); }).nope_layers ==
        Layers{0, 1, 2, 3});
  CHECK(plain == config([](File& f) {
          for (const char* key : {"attention.scale", "embedding_scale", "residual_scale", "logit_scale"})
            f.metadata.f32(std::string("granitehybrid.") + key, 0.0f);
        }));
  CHECK(config([](File& f) { f.metadata.f32("granitehybrid.residual_scale", 0.25f); }).residual_scale == 0.25);
  CHECK(config([](File& f) { f.metadata.f32("granitehybrid.logit_scale", 8.0f); }).logit_divisor == 8.0);
  CHECK(config([](File& f) {
          f.metadata.u32("granitehybrid.expert_shared_feed_forward_length", 40);
        }).intermediate_size == 40);
  const moe::ModelConfig experts = config([](File& f) {
    f.metadata.u32("granitehybrid.expert_count", 8);
    f.metadata.u32("granitehybrid.expert_used_count", 3);
  });
  CHECK(experts.moe_intermediate_size == 32);
  CHECK(experts.shared_width() == 0);
}

TEST_CASE("Nemotron-H: the tensors say what layers without key heads are") {
  const GgufScratch scratch;
  const auto read = [&](void (*more)(File&)) { return recognise_mamba("nemotron_h", more, scratch.file("x.gguf")); };
  const auto found = read([](File& f) { f.tensors["blk.2.ssm_in.weight"] = {{1, 1}, std::string(4, '\0')}; });
  REQUIRE_MESSAGE(found.has_value(), found.error().message);
  const std::vector<moe::Mixer> kinds = {moe::Mixer::none, moe::Mixer::attention, moe::Mixer::mamba2,
                                         moe::Mixer::attention};
  CHECK(found->config.mixers == kinds);
  CHECK(found->config.no_ffn_layers == Layers{1, 2, 3});
  CHECK(found->config.intermediate_size == 32);
  CHECK(found->config.recurrent.min_step == 0.001);
  CHECK(found->unread_keys.empty());
  // A router makes it a layer of experts, whose keys are then needed.
  const auto experts = read([](File& f) { f.tensors["blk.0.ffn_gate_inp.weight"] = {{1, 1}, std::string(4, '\0')}; });
  REQUIRE_FALSE(experts.has_value());
  CHECK(experts.error().message.find("expert_count is missing") != std::string::npos);
}

TEST_CASE("an architecture that is not known is refused with the list of those that are") {
  const GgufScratch scratch;
  File file;
  file.metadata.text("general.architecture", "mamba");
  const std::string message = error_of(file, scratch.file("x.gguf"));
  CAPTURE(message);
  CHECK(message.find("'mamba'") != std::string::npos);
  for (const moe::arch::Family* family : moe::arch::families()) {
    CAPTURE(family->name);
    CHECK_FALSE(family->gguf_architecture.empty());
    CHECK(message.find(std::string(family->gguf_architecture)) != std::string::npos);
    CHECK(message.find(std::string(family->gguf_moe_architecture)) != std::string::npos);
  }
}

}  // namespace gguf_keys_test

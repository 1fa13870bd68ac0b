// GGUF files of every family: ours are those of llama.cpp's converter tensor by tensor (tests/data/gguf holds what it made
// of the golden models), every layout of experts and attention gives the same bits, and what is wrong is named.

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "golden/golden.hpp"
#include "moe/quantize.hpp"
#include "scratch_dir.hpp"

namespace gguf_test {

namespace {

using namespace moe_test;
namespace fs = std::filesystem;
using moe::Format;
using moe::checkpoint::GgufTensor;
using nlohmann::json;

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_gguf") {}
  std::string file(const std::string& name) const { return *this / name; }
};

struct Tensor {
  std::vector<std::int64_t> shape;
  std::string bytes;  // float32
};

/// A GGUF file in memory, to be changed and written again.
struct File {
  moe::checkpoint::GgufMetadata metadata;
  std::map<std::string, Tensor> tensors;
};

File read_gguf(const std::string& path) {
  const auto file = moe::checkpoint::open(path);
  REQUIRE(file.has_value());
  File out;
  const auto entries = (*file)->raw_metadata();
  REQUIRE(entries.has_value());
  for (const auto& entry : *entries) out.metadata.raw(entry.key, entry.value);
  for (const auto& tensor : (*file)->tensors()) {
    REQUIRE(tensor.format == Format::f32);
    Tensor& t = out.tensors[tensor.name];
    t.shape = tensor.shape;
    t.bytes.resize(tensor.bytes);
    REQUIRE((*file)->read(tensor, 0, std::as_writable_bytes(std::span(t.bytes))).has_value());
  }
  return out;
}

void write_gguf(const File& file, const std::string& path) {
  std::vector<GgufTensor> list;
  for (const auto& [name, t] : file.tensors) list.push_back({name, Format::f32, t.shape});
  auto target = moe::OutputFile::create(path);
  REQUIRE(target.has_value());
  auto writer = moe::checkpoint::GgufWriter::begin(std::move(*target), file.metadata, std::move(list));
  REQUIRE(writer.has_value());
  for (const auto& [name, t] : file.tensors) REQUIRE(writer->write(std::as_bytes(std::span(t.bytes))).has_value());
  REQUIRE(writer->finish().has_value());
}

moe::Result<moe::QuantizeReport> to_f32(const fs::path& model, const std::string& out) {
  moe::QuantizeOptions options;
  options.type = Format::f32;
  options.replace = true;
  return moe::quantize(model.string(), out, options);
}

std::vector<GoldenCase> directories() {
  std::vector<GoldenCase> all;
  for (const GoldenCase& c : golden_cases())
    if (fs::is_directory(c.model)) all.push_back(c);
  return all;
}

std::string hash_of(const std::string& bytes) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char byte : bytes) h = (h ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return fmt::format("{:016x}", h);
}

void check_metadata(const moe::checkpoint::MetaValue* found, const json& expected) {
  REQUIRE(found != nullptr);
  if (const auto* n = std::get_if<std::uint64_t>(found)) {
    CHECK(*n == expected.get<std::uint64_t>());
  } else if (const auto* b = std::get_if<bool>(found)) {
    CHECK(*b == expected.get<bool>());
  } else if (const auto* text = std::get_if<std::string>(found)) {
    CHECK(*text == expected.get<std::string>());
  } else {
    const auto* x = std::get_if<double>(found);
    REQUIRE(x != nullptr);
    CHECK(std::abs(*x - expected.get<double>()) <= 1e-6 * std::abs(*x));
  }
}

void check_layout(const std::string& path, const json& expected) {
  const auto opened = moe::checkpoint::open(path);
  REQUIRE(opened.has_value());
  for (const auto& item : expected["metadata"].items()) {  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(item.key());
    check_metadata((*opened)->meta(item.key()), item.value());
  }
  const File file = read_gguf(path);
  const std::set<std::string> left_out = {"token_embd.weight"};  // of Gemma
  for (const auto& tensor : file.tensors) {
    const std::string& name = tensor.first;
    CAPTURE(name);
    CHECK((expected["tensors"].contains(name) || left_out.count(name) == 1));
  }
  for (const auto& [key, t] : expected["tensors"].items()) {
    const std::string& name = key;
    CAPTURE(name);
    const auto found = file.tensors.find(name);
    REQUIRE(found != file.tensors.end());
    CHECK(found->second.shape == t["shape"].get<std::vector<std::int64_t>>());
    if (!t["fnv1a"].is_null()) CHECK(hash_of(found->second.bytes) == t["fnv1a"].get<std::string>());
  }
}

std::vector<float> logits_of(const std::string& path) {
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  if (!model) FAIL(model.error().message);
  return whole_logits(*model, reference_options(), prompt_for((*model)->config(), 3));
}

std::string error_of(const File& file, const std::string& path) {
  write_gguf(file, path);
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  return model ? "" : model.error().message;
}

std::string name_of(const char* pattern, std::int64_t layer) {
  std::string name = pattern;
  name.replace(name.find('#'), 1, std::to_string(layer));
  return name;
}

/// The rows of expert e, or of all tensors one after the other.
Tensor slice(const Tensor& all, std::int64_t e) {
  const std::size_t size = all.bytes.size() / static_cast<std::size_t>(all.shape[0]);
  return {{all.shape[1], all.shape[2]}, all.bytes.substr(static_cast<std::size_t>(e) * size, size)};
}
void append_rows(Tensor& to, const Tensor& from) {
  to.shape[0] += from.shape[0];
  to.bytes += from.bytes;
}

/// Experts one by one, as files had them before 2024.
bool split_experts(File& file, std::int64_t layer) {
  bool any = false;
  for (const char* part : {"gate", "up", "down"}) {
    const auto merged = file.tensors.find(fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
    if (merged == file.tensors.end()) continue;
    for (std::int64_t e = 0; e < merged->second.shape[0]; ++e)
      file.tensors[fmt::format("blk.{}.ffn_{}.{}.weight", layer, part, e)] = slice(merged->second, e);
    file.tensors.erase(merged);
    any = true;
  }
  return any;
}

/// Gate and up of every expert in one tensor.
bool fuse_experts(File& file, std::int64_t layer) {
  const auto gate = file.tensors.find(name_of("blk.#.ffn_gate_exps.weight", layer));
  const auto up = file.tensors.find(name_of("blk.#.ffn_up_exps.weight", layer));
  if (gate == file.tensors.end()) return false;
  Tensor both = {{gate->second.shape[0], 2 * gate->second.shape[1], gate->second.shape[2]}, {}};
  for (std::int64_t e = 0; e < both.shape[0]; ++e)
    both.bytes += slice(gate->second, e).bytes + slice(up->second, e).bytes;
  file.tensors.erase(gate);
  file.tensors.erase(up);
  file.tensors[name_of("blk.#.ffn_gate_up_exps.weight", layer)] = std::move(both);
  return true;
}

/// q, k and v in one tensor, biases as well.
bool fuse_attention(File& file, std::int64_t layer) {
  bool any = false;
  for (const char* kind : {"weight", "bias"}) {
    const auto part = [&](const char* p) { return fmt::format("blk.{}.attn_{}.{}", layer, p, kind); };
    if (file.tensors.count(part("v")) == 0) continue;
    Tensor all = file.tensors.at(part("q"));
    for (const char* p : {"k", "v"}) append_rows(all, file.tensors.at(part(p)));
    for (const char* p : {"q", "k", "v"}) file.tensors.erase(part(p));
    file.tensors[part("qkv")] = std::move(all);
    any = true;
  }
  return any;
}

}  // namespace

TEST_CASE("a directory becomes the f32 file that llama.cpp's converter makes of it") {
  const Scratch scratch;
  int compared = 0;
  for (const GoldenCase& c : directories()) {
    const fs::path layout = fs::path(MOE_SOURCE_DIR) / "tests/data/gguf" / (c.name + ".json");
    if (!fs::exists(layout)) continue;
    CAPTURE(c.name);
    const json expected = json::parse(read_file(layout));
    // Another model under the same name (MOE_GOLDEN_DIR) has other weights.
    const auto config = json::parse(read_file(c.model / "config.json"));
    const auto width = expected["metadata"].find(expected["architecture"].get<std::string>() + ".embedding_length");
    const json golden = json::parse(read_file(c.expected));
    const json& text = config.contains("text_config") ? config["text_config"] : config;
    if (text["hidden_size"] != *width || golden.value("weight_seed", json()) != expected.value("weight_seed", json())) {
      report_skip(c.name, "not the model that tests/data/gguf describes");
      continue;
    }
    const auto report = to_f32(c.model, scratch.file("x.gguf"));
    if (!report) FAIL(report.error().message);
    check_layout(scratch.file("x.gguf"), expected);
    ++compared;
  }
  MESSAGE(compared << " files compared with the converter's");
  if (std::getenv("MOE_GOLDEN_DIR") == nullptr) CHECK(compared >= 2);
}

TEST_CASE("experts one by one, gate and up fused, q, k and v fused: the same bits") {
  const Scratch scratch;
  std::map<std::string, int> changed;
  const std::pair<const char*, bool (*)(File&, std::int64_t)> layouts[] = {
      {"split experts", split_experts}, {"fused experts", fuse_experts}, {"fused attention", fuse_attention}};
  for (const GoldenCase& c : directories()) {
    CAPTURE(c.name);
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;  // reported by golden_quantize
    const File original = read_gguf(scratch.file("x.gguf"));
    const std::vector<float> expected = logits_of(scratch.file("x.gguf"));
    for (const auto& [layout, change] : layouts) {
      const char* what = layout;
      CAPTURE(what);
      File file = original;
      bool any = false;
      for (std::int64_t l = 0; file.tensors.count(name_of("blk.#.attn_norm.weight", l)) != 0; ++l)
        any |= change(file, l);
      if (!any) continue;
      write_gguf(file, scratch.file("y.gguf"));
      CHECK(same_bits(logits_of(scratch.file("y.gguf")), expected));
      ++changed[what];
    }
  }
  for (const auto& [what, count] : changed) MESSAGE(what << ": " << count << " models");
  CHECK(changed.size() == 3);
}

TEST_CASE("a missing, misshapen or unknown tensor of a GGUF file is named") {
  const Scratch scratch;
  std::set<std::string> seen;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;
    const File original = read_gguf(scratch.file("x.gguf"));
    const auto recognised = moe::checkpoint::open(scratch.file("x.gguf"));
    const auto family = moe::arch::recognise(**recognised);
    REQUIRE(family.has_value());
    if (!seen.insert(family->config.family).second) continue;  // one model of every family
    CAPTURE(c.name);
    for (const auto& [key, t] : original.tensors) {
      const std::string& name = key;
      if (!name.starts_with("blk.1.") && !name.starts_with("output_norm")) continue;
      CAPTURE(name);
      File file = original;
      file.tensors.erase(name);
      CHECK(error_of(file, scratch.file("y.gguf")).find(name) != std::string::npos);
      file = original;
      append_rows(file.tensors[name], {{1}, std::string(t.bytes.size() / static_cast<std::size_t>(t.shape[0]), '\0')});
      CHECK(error_of(file, scratch.file("y.gguf")).find(name) != std::string::npos);
      ++checked;
    }
    File file = original;
    file.tensors["blk.1.attn_surprise.weight"] = {{4}, std::string(16, '\0')};
    CHECK(error_of(file, scratch.file("y.gguf")).find("blk.1.attn_surprise.weight is not expected") !=
          std::string::npos);
  }
  MESSAGE(seen.size() << " families, " << checked << " tensors");
  CHECK(checked > 0);
}

namespace {

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
  const Scratch scratch;
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

TEST_CASE("rope keys of a GGUF file") {
  const Scratch scratch;
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

TEST_CASE("keys of a GGUF file that nothing reads: refused where they change the arithmetic, else listed") {
  const Scratch scratch;
  const auto read = [&](std::string_view architecture, void (*more)(File&)) {
    return recognise(architecture, more, scratch.file("x.gguf"));
  };
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
    const auto found = read("llama", change);
    REQUIRE_FALSE(found.has_value());
    CHECK_MESSAGE(found.error().message.find(std::string("metadata llama.") + key) != std::string::npos,
                  found.error().message);
  }
  // What a family reads, or what says the same as libmoe computes, is no surprise.
  const auto harmless = read("llama", [](File& f) {
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
  const auto unknown = read("llama", [](File& f) {
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
  // What a message says was expected is said once, also where the family computes the neutral value.
  const auto chunks = read("llama", [](File& f) { f.metadata.u32("llama.attention.sliding_window", 8); });
  REQUIRE_FALSE(chunks.has_value());
  CHECK_MESSAGE(chunks.error().message.ends_with("expected 0"), chunks.error().message);
  // Experts: what one architecture reads is refused in another that would ignore it.
  const auto experts = [](File& f) {
    f.metadata.u32("llama.expert_count", 4);
    f.metadata.u32("llama.expert_used_count", 2);
  };
  CHECK(read("llama", experts).has_value());
  const auto gated = read("llama", [](File& f) {
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

TEST_CASE("rotary tensors that older converters left behind are not needed, and a note names them") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (!to_f32(c.model, scratch.file("x.gguf"))) continue;
    File file = read_gguf(scratch.file("x.gguf"));
    const auto expected = logits_of(scratch.file("x.gguf"));
    CAPTURE(c.name);
    file.tensors["blk.0.attn_rot_embd"] = {{4}, std::string(16, '\0')};
    file.tensors["blk.1.attn_rot_embd.weight"] = {{4}, std::string(16, '\0')};
    write_gguf(file, scratch.file("y.gguf"));
    CHECK(same_bits(logits_of(scratch.file("y.gguf")), expected));
    const auto info = moe::Model::inspect(scratch.file("y.gguf"));
    REQUIRE(info.has_value());
    REQUIRE(info->notes.size() == 1);
    CHECK(info->notes[0].find("2 tensors of rotary frequencies ('blk.0.attn_rot_embd', ..)") != std::string::npos);
    if (++checked == 3) break;
  }
  CHECK(checked > 0);
}

TEST_CASE("an architecture that is not known is refused with the list of those that are") {
  const Scratch scratch;
  File file;
  file.metadata.text("general.architecture", "mamba");
  const std::string message = error_of(file, scratch.file("x.gguf"));
  CAPTURE(message);
  CHECK(message.find("'mamba'") != std::string::npos);
  for (const moe::arch::Family* family : moe::arch::families()) {
    CAPTURE(family->name);
    CHECK_FALSE(family->gguf_architecture.empty());
    CHECK(message.find(std::string(family->gguf_architecture)) != std::string::npos);
  }
}

}  // namespace gguf_test

// What is said of directories whose integer weights have different widths, without loading them.

#include "golden/integer_folder_writer.hpp"
#include "moe/outline.hpp"

namespace integer_formats_test {

using namespace moe_test;

namespace {

constexpr std::int64_t kGroup = 64;

/// The wide model, with parts of an MTP layer that is counted and not run.
void write_model(const std::filesystem::path& out) {
  write_wide_model(out);
  Tensors tensors = read_safetensors(out / "model.safetensors");
  for (const char* part : {"self_attn.q_proj.weight", "mlp.experts.0.up_proj.weight", "mlp.gate.weight"})
    tensors[std::string("mtp.layers.0.") + part] = tensors.at("model.layers.1." + std::string(part));
  write_folder(out, read_config(out), tensors);
}

bool is_of_attention(const std::string& name) { return name.find(".self_attn.") != std::string::npos; }
bool is_words(const std::string& name) { return name.ends_with(".qweight") || name.ends_with(".weight_packed"); }

/// Experts of kind `a`, attention of kind `b`, in place of a's.
Tensors write_mixed(const Scratch& scratch, const Kind& a, const Kind& b, const json& quantization) {
  Tensors mixed;
  for (const bool attention : {false, true}) {
    write_copies(scratch.dir / "wide", attention ? b : a, scratch.dir / "copy");
    for (const auto& [name, tensor] : read_safetensors(scratch.dir / "copy/codes/model.safetensors"))
      if (is_of_attention(name) == attention) mixed[name] = tensor;
  }
  json config = read_config(scratch.dir / "wide");
  config["quantization_config"] = quantization;
  write_folder(scratch.dir / "mixed", config, mixed);
  return mixed;
}

struct Use {
  std::int64_t tensors = 0, bytes = 0;
  bool operator==(const Use&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Use& use) { return out << use.tensors << " of " << use.bytes; }

Use found(const moe::ModelInfo& info, moe::Format format) {
  Use out;
  for (const moe::FormatUse& use : info.formats)
    if (use.format == format && use.name == moe::name_of(format)) out = {use.tensor_count, use.bytes};
  return out;
}

/// Of experts or of attention.
Use words_in(const Tensors& tensors, bool attention) {
  Use out;
  for (const auto& [name, tensor] : tensors)
    if (is_words(name) && is_of_attention(name) == attention)
      out.tensors += 1, out.bytes += static_cast<std::int64_t>(tensor.bytes.size());
  return out;
}

/// Of the folder "mixed": experts of 4 bits, attention of 8, each found as such, and as many parameters as numbers.
void check_mixed(const Scratch& scratch, const Tensors& tensors) {
  const auto plain = moe::Model::inspect((scratch.dir / "wide").string()),
             info = moe::Model::inspect((scratch.dir / "mixed").string());
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(words_in(tensors, false).tensors == 2 * 4 * 3 + 1);
  CHECK(words_in(tensors, true).tensors == 2 * 4 + 1);
  CHECK(found(*info, moe::Format::int4) == words_in(tensors, false));
  CHECK(found(*info, moe::Format::int8) == words_in(tensors, true));
  CHECK(info->total_parameters == plain->total_parameters);
  CHECK(plain->mtp_parameters == 2 * 256 * 256 + 4 * 256);
  CHECK(info->mtp_parameters == plain->mtp_parameters);
}

json groups_of(const json& first, const json& second) {
  json both = first;
  both["config_groups"]["group_1"] = second["config_groups"]["group_0"];
  both["config_groups"]["group_0"]["targets"] = {"re:.*first.*"};
  return both;
}

}  // namespace

TEST_CASE("compressed-tensors with groups of 4 and of 8 bits: formats and parameters, whichever is the last") {
  const Scratch scratch;
  write_model(scratch.dir / "wide");
  const Kind four{"4", compressed("pack-quantized", 4, kGroup, true), 4, kGroup, "BF16"};
  const Kind eight{"8", compressed("pack-quantized", 8, kGroup, true), 8, kGroup, "BF16"};
  for (const bool four_last : {false, true}) {
    CAPTURE(four_last);
    const Tensors mixed = write_mixed(
        scratch, four, eight, four_last ? groups_of(eight.config, four.config) : groups_of(four.config, eight.config));
    check_mixed(scratch, mixed);
  }
}

TEST_CASE("compressed-tensors with experts of 4 bits and attention of float8: its 8 bits are not those of experts") {
  const Scratch scratch;
  write_model(scratch.dir / "wide");
  const Kind four{"4", compressed("pack-quantized", 4, kGroup, true), 4, kGroup, "BF16"};
  json floats = compressed("float-quantized", 8, 0, true);
  floats["config_groups"]["group_0"]["weights"]["type"] = "float";
  Tensors mixed = write_mixed(scratch, four, four, groups_of(four.config, floats));
  std::int64_t changed = 0;
  for (const auto& [name, words] : Tensors(mixed)) {
    if (!is_of_attention(name) || !is_words(name)) continue;
    const std::string weight = name.substr(0, name.size() - std::string("_packed").size());
    for (const char* end : {"_packed", "_shape", "_scale"}) mixed.erase(weight + end);
    std::vector<float> scales(256, 1.0f);
    mixed[weight] = {"F8_E4M3", {256, 256}, std::string(256 * 256, '\0')};
    mixed[weight + "_scale"] = tensor_of("F32", {256, 1}, scales);
    ++changed;
  }
  write_folder(scratch.dir / "mixed", read_config(scratch.dir / "mixed"), mixed);
  const auto info = moe::Model::inspect((scratch.dir / "mixed").string());
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(found(*info, moe::Format::int4) == words_in(mixed, false));
  CHECK(found(*info, moe::Format::int8) == Use{});
  for (const moe::FormatUse& use : info->formats)
    if (use.format == moe::Format::e4m3) CHECK(use.tensor_count == changed);
  CHECK(info->mtp_parameters == 2 * 256 * 256 + 4 * 256);
}

TEST_CASE("GPTQModel's rules for some modules: formats and parameters of both widths") {
  const Scratch scratch;
  write_model(scratch.dir / "wide");
  const Kind four{"4", gptq(4, kGroup, false), 4, kGroup, "F16", true};
  const Kind eight{"8", gptq(8, kGroup, false), 8, kGroup, "F16", true};
  for (const bool four_is_rule : {false, true}) {
    CAPTURE(four_is_rule);
    json quantization = (four_is_rule ? eight : four).config;
    quantization["dynamic"] = {{four_is_rule ? "+:.*experts.*" : "+:.*self_attn.*", {{"bits", four_is_rule ? 4 : 8}}}};
    check_mixed(scratch, write_mixed(scratch, four, eight, quantization));
  }
}

TEST_CASE("the outline of an unknown family counts codes, not the words that hold them") {
  const Scratch scratch;
  write_model(scratch.dir / "wide");
  const auto plain = moe::Model::inspect((scratch.dir / "wide").string());
  const Kind kinds[] = {{"compressed", compressed("pack-quantized", 4, kGroup, true), 4, kGroup, "BF16"},
                        {"gptq8", gptq(8, kGroup, true), 8, kGroup, "F16", true, true},
                        {"awq", awq(kGroup), 4, kGroup, "F16", true}};
  for (const Kind& kind : kinds) {
    CAPTURE(kind.config.dump());
    write_copies(scratch.dir / "wide", kind, scratch.dir / "copy");
    const auto folder = scratch.dir / "copy/codes";
    json config = read_config(folder);
    config["architectures"] = {"SurpriseForCausalLM"};
    config["model_type"] = "surprise";
    write_folder(folder, config, read_safetensors(folder / "model.safetensors"));
    const auto outline = moe::outline(folder.string());
    REQUIRE_MESSAGE(outline.has_value(), outline.error().message);
    CHECK(outline->tensor_parameters == plain->total_parameters + plain->mtp_parameters);
  }
}

TEST_CASE("codes of another tower are counted as its parameters") {
  const fs::path model = fs::path(MOE_SOURCE_DIR) / "tests/data/variants/mistral";
  const Scratch scratch;
  const Kind kind{"gptq", gptq(4, 32, false), 4, 32, "F16", true};
  write_copies(model, kind, scratch.dir);
  const auto folder = scratch.dir / "codes";
  json inner = read_config(folder);
  Tensors tensors = read_safetensors(folder / "model.safetensors");
  tensors["vision_tower.layers.0.proj.qweight"] = tensor_of("I32", {2, 8}, std::vector<std::int32_t>(16, 7));
  tensors["vision_tower.layers.0.proj.qzeros"] = tensor_of("I32", {1, 1}, std::vector<std::int32_t>(1, 7));
  tensors["vision_tower.layers.0.proj.scales"] = tensor_of("F32", {1, 8}, std::vector<float>(8, 1.0f));
  const json quantization = inner["quantization_config"];
  inner.erase("quantization_config");
  write_folder(folder,
               json{{"architectures", {"Mistral3ForConditionalGeneration"}},
                    {"model_type", "mistral3"},
                    {"quantization_config", quantization},
                    {"text_config", inner}},
               tensors);
  const auto info = moe::Model::inspect(folder.string());
  REQUIRE_MESSAGE(info.has_value(), info.error().message);
  CHECK(info->tower_tensors == 3);
  CHECK(info->tower_parameters == 2 * 8 * 8);
}

}  // namespace integer_formats_test

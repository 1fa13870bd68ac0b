// Integer weights in directories of every family.

#include "golden/integer_folder_writer.hpp"
#include "moe/quantize.hpp"

namespace integer_families_test {

using namespace moe_test;

namespace {

/// Gemma 4's experts in tensors of their own: names as llm-compressor has them, gate before up.
Tensors with_experts_apart(const Tensors& stacked) {
  Tensors out;
  for (const auto& [name, tensor] : stacked) {
    const bool both = name.ends_with(".experts.gate_up_proj");
    if (!both && !name.ends_with(".experts.down_proj")) {
      out[name] = tensor;
      continue;
    }
    const std::string stem = name.substr(0, name.rfind('.') + 1);
    const std::size_t parts = both ? 2 : 1, experts = static_cast<std::size_t>(tensor.shape[0]),
                      bytes = tensor.bytes.size() / experts / parts;
    for (std::size_t e = 0; e < experts; ++e)
      for (std::size_t part = 0; part < parts; ++part)
        out[stem + std::to_string(e) +
            (!both       ? ".down_proj.weight"
             : part == 0 ? ".gate_proj.weight"
                         : ".up_proj.weight")] = {tensor.dtype,
                                                  {tensor.shape[1] / static_cast<std::int64_t>(parts), tensor.shape[2]},
                                                  tensor.bytes.substr((e * parts + part) * bytes, bytes)};
  }
  return out;
}

/// Golden directories whose weights are in one file.
std::vector<GoldenCase> directories() {
  std::vector<GoldenCase> out;
  for (const GoldenCase& c : golden_cases()) {
    if (is_later_family(c) || !std::filesystem::is_directory(c.model)) continue;
    if (std::filesystem::exists(c.model / "model.safetensors"))
      out.push_back(c);
    else
      report_skip(c.name, "its weights are in several files");
  }
  return out;
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {{"gptq", gptq(4, 32, true), 4, 32, "F16", true, true},
                                        {"packed", compressed("pack-quantized", 4, 32, false), 4, 32, "BF16", true}};
  return all;
}

}  // namespace

// Latent attention transposes a part of kv_b, recurrent layers have projections of their own, and layers for
// multi-token prediction are not run.
TEST_CASE("every family from integer weights: the bits of the same weights as float32") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (read_config(c.model).contains("quantization_config")) continue;
    for (const Kind& kind : kinds()) {
      CAPTURE(c.name);
      CAPTURE(kind.name);
      const std::filesystem::path folder = scratch.dir / "copy";
      write_copies(c.model, kind, folder);
      const Tensors written = read_safetensors(folder / "codes/model.safetensors");
      if (std::none_of(written.begin(), written.end(), [](const auto& t) { return t.second.dtype == "I32"; })) {
        report_skip(c.name, "no projection is a multiple of 8 by one of 32, as GPTQ's words need");
        break;
      }
      check_copies(folder);
      ++checked;
    }
  }
  if (checked == 0) report_skip("integer weights of every family", "no golden model");
}

TEST_CASE("Gemma 4 with a tensor per expert: the bits of the stacked ones, also as codes and as GGUF") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    const Tensors stacked = read_safetensors(c.model / "model.safetensors");
    const auto is_both = [](const auto& t) { return t.first.ends_with(".experts.gate_up_proj"); };
    if (!c.name.starts_with("gemma4") || std::none_of(stacked.begin(), stacked.end(), is_both)) continue;
    CAPTURE(c.name);
    write_folder(scratch.dir / "apart", read_config(c.model), with_experts_apart(stacked));
    const auto expected = loaded(c.model), apart = loaded(scratch.dir / "apart");
    const std::vector<moe::TokenId> ids = prompt_for(apart->config(), 3);
    const std::vector<float> logits = whole_logits(expected, options_for(kSettings[0], 1, 64), ids);
    CHECK(same_bits(whole_logits(apart, options_for(kSettings[0], 2, 7), ids), logits));
    moe::QuantizeOptions as_is;
    as_is.type = moe::Format::f32, as_is.tokenizer = false;
    const auto written = moe::quantize((scratch.dir / "apart").string(), scratch.file("apart.gguf"), as_is);
    REQUIRE_MESSAGE(written.has_value(), written.error().message);
    CHECK(same_bits(whole_logits(loaded(scratch.file("apart.gguf")), options_for(kSettings[0], 2, 7), ids), logits));
    write_copies(scratch.dir / "apart", kinds().back(), scratch.dir / "copy");
    CHECK(read_safetensors(scratch.dir / "copy/codes/model.safetensors")
              .contains("model.language_model.layers.0.experts.7.gate_proj.weight_packed"));
    check_copies(scratch.dir / "copy");
    ++checked;
  }
  if (checked == 0) report_skip("experts of Gemma 4", "no golden model of its mixture");
}

TEST_CASE("codes of keys and values in layers that share those of others are left out like weights") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : directories()) {
    if (!c.name.starts_with("gemma4")) continue;
    const json config = read_config(c.model);
    const json& text = config.contains("text_config") ? config["text_config"] : config;
    const int shared = text.value("num_kv_shared_layers", 0), layers = text.value("num_hidden_layers", 0);
    if (shared == 0) continue;
    for (const Kind& kind : kinds()) {
      CAPTURE(kind.name);
      write_copies(c.model, kind, scratch.dir / "copy");
      const auto expected = loaded(scratch.dir / "copy/codes");
      Tensors more = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
      std::int64_t added = 0;
      for (const auto& [name, tensor] : Tensors(more))
        if (const std::size_t at = name.find("layers.0.self_attn."); at != std::string::npos)
          for (const char* part : {"k_proj.", "v_proj.", "k_norm."})
            if (name.substr(at + 19).starts_with(part)) {
              more[std::string(name).replace(at + 7, 1, std::to_string(layers - 1))] = tensor;
              ++added;
            }
      REQUIRE(added > 4);
      write_folder(scratch.dir / "more", read_config(scratch.dir / "copy/codes"), more);
      const auto model = loaded(scratch.dir / "more");
      CHECK(model->info().notes.back().starts_with(std::to_string(added) + " tensors of keys and values in the last"));
      const std::vector<moe::TokenId> ids = prompt_for(model->config(), 3);
      CHECK(same_bits(whole_logits(model, options_for(kSettings[0], 1, 64), ids),
                      whole_logits(expected, options_for(kSettings[0], 1, 64), ids)));
      ++checked;
    }
  }
  if (checked == 0) report_skip("codes of shared keys", "no golden model of Gemma 4 with layers that share keys");
}

}  // namespace integer_families_test

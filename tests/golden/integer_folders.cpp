// Directories of compressed-tensors, GPTQ and AWQ: their codes give the bits of the weights that the formats' definitions
// say, written as float32, and stay as small as in the file. The writers here share nothing with the library's readers.

#include <random>

#include "folder_writer.hpp"
#include "golden/golden.hpp"
#include "golden/memory_reader.hpp"
#include "golden/wide_model.hpp"
#include "model/model_impl.hpp"
#include "model/weight_rows.hpp"
#include "moe/demand.hpp"
#include "moe/model.hpp"
#include "pack_plan.hpp"

namespace integer_folders_test {

namespace {

using namespace moe_test;
using nlohmann::json;

struct Kind {
  std::string name;
  json config;  ///< quantization_config
  int bits;
  std::int64_t group;  ///< 0: a row
  std::string scale = "F16";
  bool zeros = false;  ///< that differ
  bool order = false;  ///< columns in groups in no order
};

/// A weight as integers: w = scale * (code - zero), codes and zeros unsigned.
struct Codes {
  std::int64_t rows, columns, groups;
  std::vector<int> code, zero;   // [rows][columns], [rows][groups]
  std::vector<float> scale;      // [rows][groups]
  std::vector<std::int32_t> of;  // [columns]
  int at(std::int64_t r, std::int64_t c) const { return code[static_cast<std::size_t>(r * columns + c)]; }
  int zero_at(std::int64_t r, std::int64_t g) const { return zero[static_cast<std::size_t>(r * groups + g)]; }
};

Codes random_codes(const Kind& kind, std::int64_t rows, std::int64_t columns, std::mt19937& rng) {
  Codes w{rows, columns, kind.group == 0 ? 1 : (columns + kind.group - 1) / kind.group, {}, {}, {}, {}};
  const int most = (1 << kind.bits) - 1, middle = 1 << (kind.bits - 1);
  for (std::int64_t i = 0; i < rows * columns; ++i)
    w.code.push_back(static_cast<int>(rng() % static_cast<unsigned>(most + 1)));
  for (std::int64_t i = 0; i < rows * w.groups; ++i) {
    w.zero.push_back(kind.zeros ? static_cast<int>(rng() % static_cast<unsigned>(most + 1)) : middle);
    w.scale.push_back((0.2f + static_cast<float>(rng() % 1000) / 1000.0f) * 0.1f / static_cast<float>(middle));
  }
  for (std::int64_t c = 0; c < columns; ++c)
    w.of.push_back(static_cast<std::int32_t>(kind.order        ? rng() % static_cast<unsigned>(w.groups)
                                             : kind.group == 0 ? 0
                                                               : c / kind.group));
  return w;
}

std::vector<float> dequantised(const Codes& w) {
  std::vector<float> out;
  for (std::int64_t r = 0; r < w.rows; ++r)
    for (std::int64_t c = 0; c < w.columns; ++c) {
      const std::int64_t g = w.of[static_cast<std::size_t>(c)];
      out.push_back(static_cast<float>(static_cast<double>(w.scale[static_cast<std::size_t>(r * w.groups + g)]) *
                                       (w.at(r, c) - w.zero_at(r, g))));
    }
  return out;
}

/// Numbers get(i, j) of [m][n], `per` of them along i (down) or j in a word, number p of a word in place[p].
template <class Get>
ReferenceTensor words(std::int64_t m, std::int64_t n, int bits, bool down, const std::vector<int>& place, Get get) {
  const std::int64_t per = 32 / bits, rows = down ? (m + per - 1) / per : m, columns = down ? n : (n + per - 1) / per;
  std::vector<std::uint32_t> out(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const std::int64_t at = down ? i / per * columns + j : i * columns + j / per, p = (down ? i : j) % per;
      const int where = place.empty() ? static_cast<int>(p) : place[static_cast<std::size_t>(p)];
      out[static_cast<std::size_t>(at)] |= static_cast<std::uint32_t>(get(i, j)) << (bits * where);
    }
  return tensor_of("I32", {rows, columns}, out);
}

// AWQ's order of columns in a word is 0, 2, 4, 6, 1, 3, 5, 7.
std::vector<int> awq_places() {
  const int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  std::vector<int> place(8);
  for (int nibble = 0; nibble < 8; ++nibble) place[static_cast<std::size_t>(order[nibble])] = nibble;
  return place;
}

void write_compressed(const Kind& kind, const Codes& w, const std::string& name, ReferenceTensor scales, Tensors& out) {
  const int middle = 1 << (kind.bits - 1);
  out[name + "_scale"] = std::move(scales);
  if (kind.config["format"] == "pack-quantized") {
    out[name + "_packed"] = words(w.rows, w.columns, kind.bits, false, {}, [&](auto r, auto c) { return w.at(r, c); });
    out[name + "_shape"] = tensor_of("I64", {2}, std::vector<std::int64_t>{w.rows, w.columns});
    if (kind.zeros)
      out[name + "_zero_point"] =
          words(w.rows, w.groups, kind.bits, true, {}, [&](auto r, auto g) { return w.zero_at(r, g); });
    if (kind.order) out[name + "_g_idx"] = tensor_of("I32", {w.columns}, w.of);
    return;
  }
  std::vector<std::int8_t> codes, zeros;
  for (const int c : w.code) codes.push_back(static_cast<std::int8_t>(c - middle));
  for (const int z : w.zero) zeros.push_back(static_cast<std::int8_t>(z - middle));
  out[name] = tensor_of("I8", {w.rows, w.columns}, codes);
  if (kind.zeros) out[name + "_zero_point"] = tensor_of("I8", {w.rows, w.groups}, zeros);
}

void write_packed(const Kind& kind, const Codes& w, const std::string& stem, Tensors& out) {
  const bool awq = kind.config["quant_method"] == "awq";
  out[stem + "qweight"] = words(w.columns, w.rows, kind.bits, !awq, awq ? awq_places() : std::vector<int>(),
                                [&](auto c, auto r) { return w.at(r, c); });
  ReferenceTensor& zeros = out[stem + "qzeros"] =
      words(w.groups, w.rows, kind.bits, false, awq ? awq_places() : std::vector<int>(),
            [&](auto g, auto r) { return w.zero_at(r, g); });
  // Version 1, as GPTQModel's convert_gptq_v2_to_v1_format does it: each word less one in every number.
  if (!awq && kind.config.value("checkpoint_format", "gptq") == "gptq")
    for (std::size_t at = 0; at < zeros.bytes.size(); at += 4) {
      std::uint32_t word = 0;
      std::memcpy(&word, zeros.bytes.data() + at, sizeof word);
      word -= kind.bits == 4 ? 0x11111111u : 0x01010101u;
      std::memcpy(zeros.bytes.data() + at, &word, sizeof word);
    }
  if (!awq) out[stem + "g_idx"] = tensor_of("I32", {w.columns}, w.of);
}

/// How a weight of a copy is stored: as the kind says, the same with groups of columns in order, or as in the model.
enum class Stored { as_kind, in_order, as_float };
using StoredOf = std::function<Stored(const std::string& name)>;

/// Copies of a float32 directory: projections in this form, and the same numbers as float32.
void write_copies(const std::filesystem::path& model, const Kind& kind, const std::filesystem::path& out,
                  const StoredOf& stored = {}) {
  std::mt19937 rng(static_cast<unsigned>(kind.bits * 1000) + static_cast<unsigned>(kind.group));
  json config = read_config(model);
  Tensors coded = read_safetensors(model / "model.safetensors"), widened = coded;
  for (const auto& [name, tensor] : Tensors(coded)) {
    if (name.find("_proj") == std::string::npos || !name.ends_with(".weight") || tensor.shape.size() != 2) continue;
    if (tensor.shape[0] % 8 != 0 || tensor.shape[1] % 32 != 0) continue;  // what GPTQ and AWQ can hold
    const Stored how = stored ? stored(name) : Stored::as_kind;
    if (how == Stored::as_float) continue;
    Kind own = kind;
    own.order = kind.order && how == Stored::as_kind;
    Codes w = random_codes(own, tensor.shape[0], tensor.shape[1], rng);
    ReferenceTensor scales = float_tensor(kind.scale, {w.rows, w.groups}, w.scale);
    widened[name] = tensor_of("F32", tensor.shape, dequantised(w));
    coded.erase(name);
    if (kind.config["quant_method"] == "compressed-tensors") {
      write_compressed(own, w, name, std::move(scales), coded);
      continue;
    }
    std::vector<float> turned;
    for (std::int64_t g = 0; g < w.groups; ++g)
      for (std::int64_t r = 0; r < w.rows; ++r) turned.push_back(w.scale[static_cast<std::size_t>(r * w.groups + g)]);
    const std::string stem = name.substr(0, name.size() - 6);
    coded[stem + "scales"] = float_tensor(kind.scale, {w.groups, w.rows}, turned);
    write_packed(own, w, stem, coded);
  }
  write_folder(out / "floats", config, widened);
  config["quantization_config"] = kind.config;
  write_folder(out / "codes", config, coded);
}

json compressed(const std::string& format, int bits, std::int64_t group, bool symmetric) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head"}},
          {"config_groups",
           {{"group_0",
             {{"targets", {"Linear"}},
              {"weights",
               {{"num_bits", bits},
                {"type", "int"},
                {"symmetric", symmetric},
                {"strategy", group == 0 ? "channel" : "group"},
                {"group_size", group == 0 ? json() : json(group)}}}}}}}};
}
json gptq(int bits, std::int64_t group, bool order, const char* version = nullptr) {
  json c = {{"quant_method", "gptq"},
            {"bits", bits},
            {"group_size", group == 0 ? -1 : group},
            {"desc_act", order},
            {"sym", false}};
  if (version != nullptr) c["checkpoint_format"] = version;
  return c;
}
json awq(std::int64_t group) {
  return {{"quant_method", "awq"}, {"bits", 4}, {"group_size", group}, {"version", "gemm"}, {"zero_point", true}};
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  for (const std::int64_t group : {32, 64, 128}) {
    all.push_back({"packed int4", compressed("pack-quantized", 4, group, true), 4, group, "BF16"});
    all.push_back({"packed int4, zeros", compressed("pack-quantized", 4, group, false), 4, group, "F16", true});
    all.push_back({"gptq", gptq(4, group, false), 4, group, "F16", true});
    all.push_back({"awq", awq(group), 4, group, "F16", true});
  }
  all.push_back({"packed int4 per row", compressed("pack-quantized", 4, 0, true), 4, 0, "F32"});
  all.push_back({"packed int8", compressed("pack-quantized", 8, 128, false), 8, 128, "BF16", true});
  all.push_back({"packed int4 in another order", compressed("pack-quantized", 4, 64, true), 4, 64, "F16", false, true});
  all.push_back({"int8", compressed("int-quantized", 8, 0, true), 8, 0, "BF16"});
  all.push_back({"int8, zeros", compressed("naive-quantized", 8, 0, false), 8, 0, "F32", true});
  all.push_back({"gptq in another order", gptq(4, 64, true), 4, 64, "F16", true, true});
  all.push_back({"gptq per row", gptq(4, 0, false), 4, 0, "F16", true});
  all.push_back({"gptq_v2", gptq(4, 128, false, "gptq_v2"), 4, 128, "F16", true});
  all.push_back({"gptq of 8 bits", gptq(8, 128, false), 8, 128, "F16", true});
  all.push_back({"groups of 40", gptq(4, 40, false), 4, 40, "F16", true});
  return all;
}

/// Those whose rows have bytes all over their tensor.
std::vector<Kind> spread_kinds() {
  return {{"gptq", gptq(4, 64, false), 4, 64, "F16", true},
          {"gptq in another order", gptq(4, 64, true), 4, 64, "F16", true, true},
          {"gptq of 8 bits", gptq(8, 32, false), 8, 32, "F32", true},
          {"awq", awq(32), 4, 32, "F16", true}};
}

/// A copy of a directory with experts a and b of every layer in each other's place, with their rows of the router.
void swap_experts(const std::filesystem::path& from, int a, int b, const std::filesystem::path& to) {
  const auto part = [](int expert) { return ".mlp.experts." + std::to_string(expert) + "."; };
  Tensors swapped;
  for (const auto& [name, tensor] : read_safetensors(from / "model.safetensors")) {
    std::string other = name;
    for (const auto& [old, place] : {std::pair(part(a), part(b)), std::pair(part(b), part(a))})
      if (const std::size_t at = name.find(old); at != std::string::npos)
        other = std::string(name).replace(at, old.size(), place);
    ReferenceTensor& out = swapped[other] = tensor;
    if (!name.ends_with(".mlp.gate.weight")) continue;
    const auto row = static_cast<std::ptrdiff_t>(out.bytes.size()) / out.shape[0];
    std::swap_ranges(out.bytes.begin() + a * row, out.bytes.begin() + (a + 1) * row, out.bytes.begin() + b * row);
  }
  write_folder(to, read_config(from), swapped);
}

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

std::shared_ptr<const moe::Model> loaded(const std::filesystem::path& folder) {
  auto model = moe::Model::load(folder.string(), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

}  // namespace

TEST_CASE(
    "compressed-tensors, GPTQ and AWQ give the bits of their definitions' weights, in the memory of their files") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  int int8_products = 0;
  for (const Kind& kind : kinds()) {
    CAPTURE(kind.name);
    CAPTURE(kind.group);
    const std::filesystem::path folder = scratch.dir / "copy";
    write_copies(scratch.dir / "wide", kind, folder);
    const auto codes = loaded(folder / "codes"), floats = loaded(folder / "floats");
    CHECK(codes->info().total_parameters == floats->info().total_parameters);
    CHECK(codes->info().unread_keys.empty());
    const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
    const Setting& reference = kSettings[0];
    const std::vector<float> expected = whole_logits(floats, options_for(reference, 1, 64), ids);
    for (const std::int64_t chunk : {1, 64})
      CHECK(same_bits(whole_logits(codes, options_for(reference, 2, chunk), ids), expected));
    // int8 activations: near, and the same bits for any split; groups in no order stay with float32.
    const std::vector<float> automatic = whole_logits(codes, options_for(kSettings[1], 1, 64), ids);
    CHECK(same_bits(automatic, whole_logits(codes, options_for(kSettings[1], 2, 1), ids)));
    const std::vector<float> plain = whole_logits(floats, options_for(kSettings[1], 1, 64), ids);
    CHECK(relative_error(automatic, plain) <= 0.1);  // found: 0.006 to 0.05; another weight makes it about 1
    const bool by_column = kind.order || kind.group % 32 != 0;
    CHECK(same_bits(automatic, plain) == by_column);
    int8_products += by_column ? 0 : 1;
    moe::QuantizeOptions options = to(moe::Format::f32);
    options.tokenizer = false;
    const auto written = moe::quantize((folder / "codes").string(), scratch.file("codes.gguf"), options);
    REQUIRE_MESSAGE(written.has_value(), written.error().message);
    CHECK(same_bits(whole_logits(loaded(scratch.dir / "codes.gguf"), options_for(reference, 2, 64), ids), expected));
    options.type = moe::Format::q4_0;
    const auto again = moe::quantize((folder / "codes").string(), scratch.file("codes.gguf"), options);
    REQUIRE_FALSE(again.has_value());  // quantised twice, without --requantize
    CHECK(again.error().message.find("requantize") != std::string::npos);
    const double ratio = static_cast<double>(moe::impl_of(*codes).weights->memory.size()) /
                         static_cast<double>(std::filesystem::file_size(folder / "codes/model.safetensors"));
    CHECK_MESSAGE(ratio <= 1.1, kind.name << ": " << ratio);
  }
  CHECK(int8_products > 0);
}

// Latent attention transposes a part of kv_b, recurrent layers have projections of their own, and layers for
// multi-token prediction are not run.
TEST_CASE("every family from integer weights: the bits of the same weights as float32") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (is_later_family(c) || !std::filesystem::is_directory(c.model)) continue;
    if (read_config(c.model).contains("quantization_config")) continue;
    if (!std::filesystem::exists(c.model / "model.safetensors")) {
      report_skip(c.name, "its weights are in several files");
      continue;
    }
    for (const Kind& kind : {Kind{"gptq", gptq(4, 32, true), 4, 32, "F16", true, true},
                             Kind{"packed", compressed("pack-quantized", 4, 32, false), 4, 32, "BF16", true}}) {
      CAPTURE(c.name);
      CAPTURE(kind.name);
      const std::filesystem::path folder = scratch.dir / "copy";
      write_copies(c.model, kind, folder);
      const Tensors written = read_safetensors(folder / "codes/model.safetensors");
      if (std::none_of(written.begin(), written.end(), [](const auto& t) { return t.second.dtype == "I32"; })) {
        report_skip(c.name, "no projection is a multiple of 8 by one of 32, as GPTQ's words need");
        break;
      }
      const auto codes = loaded(folder / "codes"), floats = loaded(folder / "floats");
      CHECK(codes->info().total_parameters == floats->info().total_parameters);
      CHECK(codes->info().mtp_parameters == floats->info().mtp_parameters);
      const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
      CHECK(same_bits(whole_logits(codes, options_for(kSettings[0], 2, 7), ids),
                      whole_logits(floats, options_for(kSettings[0], 1, 64), ids)));
      ++checked;
    }
  }
  if (checked == 0) report_skip("integer weights of every family", "no golden model");
}

TEST_CASE("Gemma 4 with a tensor per expert: the bits of the stacked ones, also as codes and as GGUF") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (!std::filesystem::exists(c.model / "model.safetensors")) continue;
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
    write_copies(scratch.dir / "apart", {"packed", compressed("pack-quantized", 4, 32, false), 4, 32, "BF16", true},
                 scratch.dir / "copy");
    CHECK(read_safetensors(scratch.dir / "copy/codes/model.safetensors")
              .contains("model.language_model.layers.0.experts.7.gate_proj.weight_packed"));
    CHECK(same_bits(whole_logits(loaded(scratch.dir / "copy/codes"), options_for(kSettings[0], 2, 7), ids),
                    whole_logits(loaded(scratch.dir / "copy/floats"), options_for(kSettings[0], 1, 64), ids)));
    ++checked;
  }
  if (checked == 0) report_skip("experts of Gemma 4", "no golden model of its mixture");
}

TEST_CASE("codes of keys and values in layers that share those of others are left out like weights") {
  const Scratch scratch;
  int checked = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (!c.name.starts_with("gemma4") || !std::filesystem::exists(c.model / "model.safetensors")) continue;
    const json config = read_config(c.model);
    const json& text = config.contains("text_config") ? config["text_config"] : config;
    const int shared = text.value("num_kv_shared_layers", 0), layers = text.value("num_hidden_layers", 0);
    if (shared == 0) continue;
    for (const Kind& kind : {Kind{"gptq", gptq(4, 32, true), 4, 32, "F16", true, true},
                             Kind{"packed", compressed("pack-quantized", 4, 32, false), 4, 32, "BF16", true}}) {
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

// Files may leave out one expert, or give it an order of columns of its own. Experts 0 and 2 of four may change places
// without another bit in the router's softmax: their terms of its sum are added first (docs/NUMERICS.md, tree).
TEST_CASE("experts of one layer that are stored in different ways: the same bits whichever comes first") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const auto is_of = [](const std::string& name, const char* part) { return name.find(part) != std::string::npos; };
  const StoredOf float_first = [&](const std::string& name) {
    return is_of(name, ".experts.0.") ? Stored::as_float : Stored::as_kind;
  };
  const StoredOf order_first = [&](const std::string& name) {
    return is_of(name, ".experts.0.") ? Stored::as_kind : Stored::in_order;
  };
  const StoredOf one_up = [&](const std::string& name) {
    return is_of(name, ".experts.") && !is_of(name, ".experts.2.up_proj") ? Stored::as_float : Stored::as_kind;
  };
  const Kind in_order{"gptq", gptq(4, 64, false), 4, 64, "F16", true};
  const Kind act_order{"gptq", gptq(4, 64, true), 4, 64, "F16", true, true};
  const Kind packed{"packed", compressed("pack-quantized", 4, 64, true), 4, 64, "F16"};
  const Kind packed_order{"packed", packed.config, 4, 64, "F16", false, true};
  struct Mix {
    const char* name;
    Kind kind;
    StoredOf stored;
    bool one_size;  ///< of all experts
  };
  for (const Mix& mix : {Mix{"gptq, expert 0 as float32", in_order, float_first, false},
                         Mix{"packed, expert 0 as float32", packed, float_first, false},
                         Mix{"gptq, expert 0 in another order", act_order, order_first, true},
                         Mix{"packed, expert 0 in another order", packed_order, order_first, true},
                         Mix{"gptq, of experts one up alone", in_order, one_up, false}}) {
    CAPTURE(mix.name);
    const std::filesystem::path folder = scratch.dir / "copy";
    write_copies(scratch.dir / "wide", mix.kind, folder, mix.stored);
    swap_experts(folder / "codes", 0, 2, folder / "swapped");
    const auto codes = loaded(folder / "codes"), swapped = loaded(folder / "swapped"),
               floats = loaded(folder / "floats");
    const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
    CHECK(same_bits(whole_logits(codes, options_for(kSettings[0], 2, 7), ids),
                    whole_logits(floats, options_for(kSettings[0], 1, 64), ids)));
    const std::vector<float> automatic = whole_logits(codes, options_for(kSettings[1], 1, 64), ids);
    CHECK(same_bits(whole_logits(swapped, options_for(kSettings[1], 1, 64), ids), automatic));
    CHECK(same_bits(whole_logits(codes, options_for(kSettings[1], 2, 1), ids), automatic));
    CHECK(relative_error(automatic, whole_logits(floats, options_for(kSettings[1], 1, 64), ids)) <= 0.2);
    const auto from_pack = moe::Model::load((folder / "codes").string(), {.tokenizer = moe::TokenizerUse::none,
                                                                          .pack = scratch.file(mix.name) + ".moepack"});
    REQUIRE_MESSAGE(from_pack.has_value(), from_pack.error().message);
    CHECK(same_bits(whole_logits(*from_pack, options_for(kSettings[1], 1, 64), ids), automatic));

    // Experts that are read when needed have one size.
    const std::int64_t bytes = moe::ExpertCache::most_bytes(expert_shapes(*codes));
    const auto stream = streamed(codes, std::make_shared<MemoryReader>(codes, MemoryReader::Options{}), bytes, 1);
    CHECK((stream != nullptr) == mix.one_size);
    if (stream != nullptr) CHECK(same_bits(whole_logits(stream, options_for(kSettings[1], 2, 64), ids), automatic));

    // Sizes and demands are those of all experts, not of the first.
    const auto info = moe::Model::inspect((folder / "codes").string());
    REQUIRE(info.has_value());
    std::int64_t sizes = info->packed.always;
    for (const std::int64_t expert : info->packed.expert) sizes += expert * codes->config().router.expert_count;
    const std::int64_t padding = 2 * 4 * (moe::kBundleAlignment + 1);  // of each expert, and a rounded mean
    CHECK(sizes >= codes->resident_bytes());
    CHECK(sizes <= codes->resident_bytes() + padding);
    moe::SessionOptions options = options_for(kSettings[1], 1, 64);
    options.record_routing = true;
    auto session = open_session(codes, options);
    static_cast<void>(step(*session, *session->open(), {ids.data(), 1}));
    const auto demands = moe::step_demand(*codes, options.kv, 0, 1, session->routing());
    std::int64_t read = 0;
    for (std::size_t l = 0; l < session->routing().size(); ++l)
      for (const std::int32_t expert : session->routing()[l].front().experts) {
        const moe::FfnWeights& e = moe::impl_of(*codes).weights->layers[l].experts[static_cast<std::size_t>(expert)];
        read += e.gate.bytes() + e.up.bytes() + e.down.bytes();
      }
    CHECK(demands.stage[static_cast<std::size_t>(moe::Stage::experts)].bytes == static_cast<double>(read));
  }
}

TEST_CASE("codes of later experts are not quantised twice because the first expert is float32") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const Kind kind{"gptq", gptq(4, 64, false), 4, 64, "F16", true};
  write_copies(scratch.dir / "wide", kind, scratch.dir / "copy", [](const std::string& name) {
    return name.find(".experts.3.down_proj") != std::string::npos ? Stored::as_kind : Stored::as_float;
  });
  moe::QuantizeOptions options = to(moe::Format::q4_0);
  options.tokenizer = false;
  const auto refused = moe::quantize(scratch.file("copy/codes"), scratch.file("codes.gguf"), options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::unsupported);
  CHECK_MESSAGE(refused.error().message.find("layers.0.mlp.experts.3.down_proj.weight is int4") != std::string::npos,
                refused.error().message);
  options.requantize = true;
  const auto written = moe::quantize(scratch.file("copy/codes"), scratch.file("codes.gguf"), options);
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  // Both kinds of experts in one tensor: the bytes of the same weights as float32.
  REQUIRE(moe::quantize(scratch.file("copy/floats"), scratch.file("floats.gguf"), options).has_value());
  const auto codes = loaded(scratch.dir / "codes.gguf"), floats = loaded(scratch.dir / "floats.gguf");
  const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
  CHECK(same_bits(whole_logits(codes, options_for(kSettings[1], 1, 64), ids),
                  whole_logits(floats, options_for(kSettings[1], 1, 64), ids)));
}

TEST_CASE("some rows of GPTQ and AWQ are those of all rows, and are read without the others") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  constexpr std::pair<std::int64_t, std::int64_t> kParts[] = {{0, 1}, {7, 2},   {8, 8},   {13, 100},
                                                              {1, 9}, {250, 6}, {255, 1}, {1, 255}};
  for (const Kind& kind : spread_kinds()) {
    CAPTURE(kind.name);
    write_copies(scratch.dir / "wide", kind, scratch.dir / "copy");
    const PackPlan plan(scratch.file("copy/codes"));
    CHECK(plan.plan.coded.size() == 32);
    for (const moe::CodedWeight& coded : plan.plan.coded) {
      const moe::MatrixJob& job = coded.job;
      REQUIRE(moe::spreads_rows(job));
      const std::int64_t rows = job.scaled.rows, bytes = moe::read_row_bytes(job);
      moe::RowBuffers all, some;
      REQUIRE(moe::read_rows(*plan.file, job, 0, rows, all).has_value());
      for (const auto& part : kParts) {
        const std::int64_t first = part.first, count = part.second;
        CAPTURE(first);
        const auto read = moe::read_rows(*plan.file, job, first, count, some);
        REQUIRE_MESSAGE(read.has_value(), read.error().message);
        REQUIRE(static_cast<std::int64_t>(read->size()) == count * bytes);
        CHECK(std::memcmp(read->data(), all.widened.data() + first * bytes, read->size()) == 0);
        // Whole words: up to eight rows are in one.
        const auto of_eight = static_cast<std::size_t>((first + count + 7) / 8 - first / 8),
                   eights = static_cast<std::size_t>(rows / 8);
        CHECK(some.raw.size() * eights == all.raw.size() * of_eight);
        CHECK(some.scales.size() * eights == all.scales.size() * of_eight);
        CHECK(some.zeros.size() * eights == all.zeros.size() * of_eight);
      }
    }
  }
}

TEST_CASE("matrices of GPTQ and AWQ that a conversion takes in several pieces") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  // A dense layer: gate and up in pieces of 4096 rows, down in pieces of 239, which end inside a word.
  constexpr std::int64_t kWidth = 4384;
  Tensors tensors = read_safetensors(scratch.dir / "wide/model.safetensors");
  std::erase_if(tensors, [](const auto& t) { return t.first.starts_with("model.layers.0.mlp."); });
  const std::vector<float> zeros(static_cast<std::size_t>(256 * kWidth));  // write_copies() puts codes in their place
  for (const char* part : {"gate", "up", "down"})
    tensors["model.layers.0.mlp." + std::string(part) + "_proj.weight"] = tensor_of(
        "F32",
        part == std::string("down") ? std::vector{std::int64_t{256}, kWidth} : std::vector{kWidth, std::int64_t{256}},
        zeros);
  json config = read_config(scratch.dir / "wide");
  config["mlp_only_layers"] = json::array({0});
  config["intermediate_size"] = kWidth;
  write_folder(scratch.dir / "long", config, tensors);
  for (const Kind& kind : spread_kinds()) {
    CAPTURE(kind.name);
    write_copies(scratch.dir / "long", kind, scratch.dir / "copy");
    moe::QuantizeOptions options = to(moe::Format::f32);
    options.tokenizer = false;
    options.threads = moe::openmp_pool(2);
    const auto written = moe::quantize(scratch.file("copy/codes"), scratch.file("codes.gguf"), options);
    REQUIRE_MESSAGE(written.has_value(), written.error().message);
    const auto floats = loaded(scratch.dir / "copy/floats");
    const std::vector<moe::TokenId> ids = prompt_for(floats->config(), 3);
    const std::vector<float> expected = whole_logits(floats, options_for(kSettings[0], 1, 64), ids);
    for (const char* copy : {"codes.gguf", "copy/codes"})
      CHECK(same_bits(whole_logits(loaded(scratch.dir / copy), options_for(kSettings[0], 2, 64), ids), expected));
  }
}

TEST_CASE("GPTQModel's rules for some modules: other bits and groups in one directory") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const Kind four{"gptq", gptq(4, 64, false), 4, 64, "F16", true};
  const Kind eight{"gptq of 8 bits", gptq(8, 128, false), 8, 128, "F16", true};
  write_copies(scratch.dir / "wide", four, scratch.dir / "four");
  write_copies(scratch.dir / "wide", eight, scratch.dir / "eight");
  for (const char* kind : {"codes", "floats"}) {
    Tensors mixed = read_safetensors(scratch.dir / "four" / kind / "model.safetensors");
    for (const auto& [name, tensor] : read_safetensors(scratch.dir / "eight" / kind / "model.safetensors"))
      if (name.find("layers.1.") != std::string::npos) mixed[name] = tensor;
    json config = read_config(scratch.dir / "four" / kind);
    if (config.contains("quantization_config"))
      config["quantization_config"]["dynamic"] = {{"-:.*lm_head.*", json::object()},
                                                  {"+:.*\\.layers\\.1\\..*", {{"bits", 8}, {"group_size", 128}}}};
    write_folder(scratch.dir / "mixed" / kind, config, mixed);
  }
  const auto codes = loaded(scratch.dir / "mixed/codes"), floats = loaded(scratch.dir / "mixed/floats");
  const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
  CHECK(codes->info().unread_keys.empty());
  CHECK(same_bits(whole_logits(codes, options_for(kSettings[0], 2, 7), ids),
                  whole_logits(floats, options_for(kSettings[0], 1, 64), ids)));
}

TEST_CASE("a directory of compressed-tensors in which no weight is quantised") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  json config = read_config(scratch.dir / "wide");
  config["quantization_config"] = {{"quant_method", "compressed-tensors"},
                                   {"format", "dense"},
                                   {"config_groups", json::object()},
                                   {"kv_cache_scheme", {{"num_bits", 8}, {"type", "float"}}}};
  write_folder(scratch.dir / "dense", config, read_safetensors(scratch.dir / "wide/model.safetensors"));
  const auto dense = loaded(scratch.dir / "dense"), plain = loaded(scratch.dir / "wide");
  const std::vector<moe::TokenId> ids = prompt_for(plain->config(), 3);
  CHECK(same_bits(whole_logits(dense, options_for(kSettings[0], 2, 7), ids),
                  whole_logits(plain, options_for(kSettings[0], 1, 64), ids)));
}

TEST_CASE("forms of quantization_config that libmoe does not compute are refused by name") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const json plain = json::parse(read_file(scratch.dir / "wide/config.json"));
  const auto changed = [](json config, const char* pointer, const json& value) {
    config[json::json_pointer(pointer)] = value;
    return config;
  };
  const json groups = compressed("pack-quantized", 4, 32, true);
  const std::pair<json, std::string> bad[] = {
      {gptq(3, 128, false), "quantization_config.bits"},
      {gptq(4, 128, false, "marlin"), "checkpoint_format"},
      {changed(gptq(4, 128, false), "/pack_dtype", "int64"), "pack_dtype"},
      {changed(gptq(4, 128, false), "/dynamic", {{"layers.1", {{"bits", 3}}}}), "dynamic.layers.1.bits"},
      {changed(awq(128), "/version", "gemv"), "version"},
      {changed(awq(128), "/bits", 8), "bits"},
      {changed(groups, "/format", "nvfp4-pack-quantized"), "nvfp4-pack-quantized"},
      {changed(groups, "/format", "marlin-24"), "marlin-24"},
      {changed(groups, "/config_groups/group_0/weights/num_bits", 2), "config_groups.group_0.weights.num_bits"},
      {changed(groups, "/config_groups/group_0/weights/strategy", "tensor_group"), "strategy"},
      {changed(groups, "/config_groups/group_0/weights/actorder", "random"), "actorder"},
      {changed(gptq(4, 128, false), "/format", "marlin"), "quantization_config.format"},
      {changed(groups, "/sparsity_config", {{"format", "sparse-24-bitmask"}}), "sparse-24-bitmask"},
      {changed(groups, "/transform_config", {{"config_groups", {{"u", 1}}}}), "transform_config"},
      {{{"quant_method", "bitsandbytes"}}, "bitsandbytes"},
  };
  for (const auto& [quantization, words_of_error] : bad) {
    const std::string& expected = words_of_error;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(expected);
    json config = plain;
    config["quantization_config"] = quantization;
    std::ofstream(scratch.dir / "wide/config.json") << config.dump();
    const auto model = moe::Model::load(scratch.file("wide"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(model.has_value());
    CHECK(model.error().code == moe::ErrorCode::unsupported);
    CHECK_MESSAGE(model.error().message.find(expected) != std::string::npos, model.error().message);
  }
}

TEST_CASE("tensors of such directories that contradict each other are refused, naming one") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const std::vector<Kind> bases = {{"gptq", gptq(4, 64, true), 4, 64, "F32", true, true},
                                   {"awq", awq(64), 4, 64, "F32", true},
                                   {"packed", compressed("pack-quantized", 4, 64, false), 4, 64, "F32", true},
                                   {"int8", compressed("int-quantized", 8, 0, false), 8, 0, "F32", true}};
  for (const Kind& kind : bases) {
    write_copies(scratch.dir / "wide", kind, scratch.dir / "copy");
    const json config = json::parse(read_file(scratch.dir / "copy/codes/config.json"));
    const Tensors good = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
    int checked = 0;
    for (const auto& entry : good) {
      const std::string& name = entry.first;
      const ReferenceTensor& tensor = entry.second;
      if (name.find("layers.1.self_attn.k_proj.") == std::string::npos) continue;
      const bool optional = name.ends_with("_shape");
      std::vector<std::pair<std::string, Tensors>> files;
      const auto add = [&](const char* what) -> ReferenceTensor& {
        return files.emplace_back(what, good).second[name];
      };
      if (!optional) add("missing"), files.back().second.erase(name);
      add("longer").shape.back() += 1;
      files.back().second[name].bytes.resize(tensor.bytes.size() +
                                             tensor.bytes.size() / static_cast<std::size_t>(tensor.shape.back()));
      if (name.ends_with("g_idx"))
        for (const std::int32_t group : {-1, 4, 1 << 30}) std::memcpy(add("group").bytes.data() + 8, &group, 4);
      if (tensor.dtype == "F32")
        for (const float scale : {HUGE_VALF, std::nanf(""), -0x1p119f})
          std::memcpy(add("scale").bytes.data() + tensor.bytes.size() - 4, &scale, 4);
      for (const auto& file : files) {
        CAPTURE(kind.name);
        CAPTURE(name);
        CAPTURE(file.first);
        write_folder(scratch.dir / "bad", config, file.second);
        const auto model = moe::Model::load(scratch.file("bad"), {.tokenizer = moe::TokenizerUse::none});
        REQUIRE_FALSE(model.has_value());
        CHECK_MESSAGE(model.error().message.find("layers.1.self_attn.k_proj.") != std::string::npos,
                      model.error().message);
        ++checked;
      }
    }
    CHECK(checked > 4);
  }
}

TEST_CASE("GPTQ's biases of zeros are left out, others are refused") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  write_copies(scratch.dir / "wide", {"gptq", gptq(4, 64, false), 4, 64, "F16", true}, scratch.dir / "copy");
  const json config = json::parse(read_file(scratch.dir / "copy/codes/config.json"));
  const Tensors good = read_safetensors(scratch.dir / "copy/codes/model.safetensors");
  const std::string stem = "model.layers.1.self_attn.o_proj.";
  REQUIRE(good.count(stem + "qweight") == 1);
  const std::int64_t rows = good.at(stem + "qweight").shape[1];
  const auto load_with = [&](const std::string& name, std::vector<float> values) {
    Tensors tensors = good;
    tensors[name] = float_tensor("F16", {static_cast<std::int64_t>(values.size())}, values);
    write_folder(scratch.dir / "biases", config, tensors);
    return moe::Model::load(scratch.file("biases"), {.tokenizer = moe::TokenizerUse::none});
  };
  const auto plain = loaded(scratch.dir / "copy/codes");
  std::vector<float> zeros(static_cast<std::size_t>(rows), 0.0f);
  zeros.front() = -0.0f;
  const auto with_zeros = load_with(stem + "bias", zeros);
  REQUIRE_MESSAGE(with_zeros.has_value(), with_zeros.error().message);
  CHECK((*with_zeros)->info().total_parameters == plain->info().total_parameters);
  REQUIRE((*with_zeros)->info().notes.size() == plain->info().notes.size() + 1);
  CHECK((*with_zeros)->info().notes.back().find("1 bias of zeros") != std::string::npos);
  const std::vector<moe::TokenId> ids = prompt_for(plain->config(), 3);
  CHECK(same_bits(whole_logits(*with_zeros, options_for(kSettings[1], 1, 64), ids),
                  whole_logits(plain, options_for(kSettings[1], 1, 64), ids)));

  std::vector<float> one = zeros, more = zeros;
  one.back() = 0x1p-24f;  // the smallest number of f16
  more.push_back(0.0f);
  for (const auto& [name, values] :
       {std::pair(stem + "bias", one), {stem + "bias", more}, {stem + "other.bias", zeros}}) {
    const auto refused = load_with(name, values);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == moe::ErrorCode::unsupported);
    CHECK_MESSAGE(refused.error().message.find(name) != std::string::npos, refused.error().message);
  }
}

TEST_CASE("what quantization_config says of the tensors must be true") {
  const Scratch scratch;
  write_wide_model(scratch.dir / "wide");
  const auto error_of = [&](const std::filesystem::path& folder, const char* pointer, const json& value) {
    json config = json::parse(read_file(folder / "config.json"));
    config[json::json_pointer(pointer)] = value;
    write_folder(scratch.dir / "changed", config, read_safetensors(folder / "model.safetensors"));
    const auto model = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
    return model ? std::string() : model.error().message;
  };
  const std::string weights = "/quantization_config/config_groups/group_0/weights/";
  write_copies(scratch.dir / "wide", {"packed", compressed("pack-quantized", 4, 64, true), 4, 64, "F16"},
               scratch.dir / "packed");
  const std::filesystem::path packed = scratch.dir / "packed/codes";
  CHECK(error_of(packed, (weights + "symmetric").c_str(), true).empty());
  CHECK(error_of(packed, (weights + "actorder").c_str(), "weight").empty());
  CHECK(error_of(packed, (weights + "symmetric").c_str(), false).find("_zero_point is missing") != std::string::npos);
  CHECK(error_of(packed, (weights + "actorder").c_str(), "group").find("_g_idx is missing") != std::string::npos);
  CHECK(error_of(packed, (weights + "num_bits").c_str(), 8).find("_packed has shape") != std::string::npos);
  // A group of attention has no weights, and says nothing about those of others.
  json with_attention = read_config(packed)["quantization_config"]["config_groups"];
  with_attention["group_0"]["weights"]["symmetric"] = false;
  with_attention["group_1"] = {{"targets", {"re:.*self_attn$"}}, {"weights", nullptr}};
  CHECK(error_of(packed, "/quantization_config/config_groups", with_attention).find("_zero_point is missing") !=
        std::string::npos);
  // One scale for a row where the configuration has groups.
  for (const Kind& one : {Kind{"awq", awq(64), 4, 0, "F16", true}, Kind{"gptq", gptq(4, 64, false), 4, 0, "F16", true},
                          Kind{"packed", compressed("pack-quantized", 4, 64, true), 4, 0, "F16"}}) {
    CAPTURE(one.name);
    write_copies(scratch.dir / "wide", one, scratch.dir / "one");
    const auto whole = moe::Model::load(scratch.file("one/codes"), {.tokenizer = moe::TokenizerUse::none});
    REQUIRE_FALSE(whole.has_value());
    CHECK_MESSAGE(whole.error().message.find("1 groups for 256 columns") != std::string::npos, whole.error().message);
  }

  Tensors tensors = read_safetensors(packed / "model.safetensors");
  tensors["model.layers.1.self_attn.k_proj.weight_shape"] = tensor_of("I64", {2}, std::vector<std::int64_t>{7, 9});
  write_folder(scratch.dir / "changed", json::parse(read_file(packed / "config.json")), tensors);
  const auto model = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_FALSE(model.has_value());
  CHECK(model.error().message.find("k_proj.weight_shape says [7, 9], expected [") != std::string::npos);

  // Newer programs write `format` only; zero points are stored in another way.
  Kind kind{"gptq_v2", gptq(4, 64, false, "gptq_v2"), 4, 64, "F16", true};
  write_copies(scratch.dir / "wide", kind, scratch.dir / "v2");
  json config = json::parse(read_file(scratch.dir / "v2/codes/config.json"));
  config["quantization_config"].erase("checkpoint_format");
  config["quantization_config"]["format"] = "gptq_v2";
  write_folder(scratch.dir / "changed", config, read_safetensors(scratch.dir / "v2/codes/model.safetensors"));
  const auto renamed = loaded(scratch.dir / "changed"), v2 = loaded(scratch.dir / "v2/codes");
  const std::vector<moe::TokenId> ids = prompt_for(v2->config(), 3);
  CHECK(same_bits(whole_logits(renamed, options_for(kSettings[0], 1, 64), ids),
                  whole_logits(v2, options_for(kSettings[0], 1, 64), ids)));

  // Without a quantization_config nothing says what the codes mean.
  config.erase("quantization_config");
  write_folder(scratch.dir / "changed", config, read_safetensors(scratch.dir / "v2/codes/model.safetensors"));
  const auto unsaid = moe::Model::load(scratch.file("changed"), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_FALSE(unsaid.has_value());
  CHECK(unsaid.error().message.find("has no quantization_config") != std::string::npos);
}

}  // namespace integer_folders_test

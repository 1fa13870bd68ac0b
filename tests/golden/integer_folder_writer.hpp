#pragma once
// Directories of compressed-tensors, GPTQ and AWQ, made from one with float32: codes, and the numbers that they stand for.
// The writers share nothing with the library's readers.

#include <random>

#include "folder_writer.hpp"
#include "golden/golden.hpp"
#include "golden/wide_model.hpp"
#include "moe/model.hpp"

namespace moe_test {

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

inline Codes random_codes(const Kind& kind, std::int64_t rows, std::int64_t columns, std::mt19937& rng) {
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

inline std::vector<float> dequantised(const Codes& w) {
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
inline std::vector<int> awq_places() {
  const int order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  std::vector<int> place(8);
  for (int nibble = 0; nibble < 8; ++nibble) place[static_cast<std::size_t>(order[nibble])] = nibble;
  return place;
}

inline void write_compressed(const Kind& kind, const Codes& w, const std::string& name, ReferenceTensor scales,
                             Tensors& out) {
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

inline void write_packed(const Kind& kind, const Codes& w, const std::string& stem, Tensors& out) {
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
inline void write_copies(const std::filesystem::path& model, const Kind& kind, const std::filesystem::path& out,
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

inline json compressed(const std::string& format, int bits, std::int64_t group, bool symmetric) {
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
inline json gptq(int bits, std::int64_t group, bool order, const char* version = nullptr) {
  json c = {{"quant_method", "gptq"},
            {"bits", bits},
            {"group_size", group == 0 ? -1 : group},
            {"desc_act", order},
            {"sym", false}};
  if (version != nullptr) c["checkpoint_format"] = version;
  return c;
}
inline json awq(std::int64_t group) {
  return {{"quant_method", "awq"}, {"bits", 4}, {"group_size", group}, {"version", "gemm"}, {"zero_point", true}};
}

inline std::shared_ptr<const moe::Model> loaded(const std::filesystem::path& folder) {
  auto model = moe::Model::load(folder.string(), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

/// The codes of write_copies() have the bits of the numbers.
inline void check_copies(const std::filesystem::path& folder) {
  const auto codes = loaded(folder / "codes"), floats = loaded(folder / "floats");
  CHECK(codes->info().total_parameters == floats->info().total_parameters);
  CHECK(codes->info().mtp_parameters == floats->info().mtp_parameters);
  const std::vector<moe::TokenId> ids = prompt_for(codes->config(), 3);
  CHECK(same_bits(whole_logits(codes, options_for(kSettings[0], 2, 7), ids),
                  whole_logits(floats, options_for(kSettings[0], 1, 64), ids)));
}

}  // namespace moe_test

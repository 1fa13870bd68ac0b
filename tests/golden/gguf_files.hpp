#pragma once
// GGUF files of the golden models in memory, to be changed, written again and loaded.

#include <map>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "golden/golden.hpp"
#include "moe/quantize.hpp"
#include "scratch_dir.hpp"

namespace gguf_files {

using namespace moe_test;
namespace fs = std::filesystem;
using moe::Format;
using moe::checkpoint::GgufTensor;

struct GgufScratch : moe_test::ScratchDir {
  GgufScratch() : ScratchDir("moe_gguf") {}
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

inline File read_gguf(const std::string& path) {
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

inline void write_gguf(const File& file, const std::string& path) {
  std::vector<GgufTensor> list;
  for (const auto& [name, t] : file.tensors) list.push_back({name, Format::f32, t.shape});
  auto target = moe::OutputFile::create(path);
  REQUIRE(target.has_value());
  auto writer = moe::checkpoint::GgufWriter::begin(std::move(*target), file.metadata, std::move(list));
  REQUIRE(writer.has_value());
  for (const auto& [name, t] : file.tensors) REQUIRE(writer->write(std::as_bytes(std::span(t.bytes))).has_value());
  REQUIRE(writer->finish().has_value());
}

inline moe::Result<moe::QuantizeReport> to_f32(const fs::path& model, const std::string& out) {
  moe::QuantizeOptions options;
  options.type = Format::f32;
  options.replace = true;
  return moe::quantize(model.string(), out, options);
}

inline std::vector<GoldenCase> directories() {
  std::vector<GoldenCase> all;
  for (const GoldenCase& c : golden_cases())
    if (fs::is_directory(c.model)) all.push_back(c);
  return all;
}

inline std::vector<float> logits_of(const std::string& path) {
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  if (!model) FAIL(model.error().message);
  return whole_logits(*model, reference_options(), prompt_for((*model)->config(), 3));
}

inline std::string error_of(const File& file, const std::string& path) {
  write_gguf(file, path);
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  return model ? "" : model.error().message;
}

}  // namespace gguf_files

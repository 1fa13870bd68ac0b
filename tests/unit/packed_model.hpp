#pragma once
// A copy of a small model and its packed file.

#include <fstream>
#include <string>

#include "moe/pack.hpp"
#include "pack_plan.hpp"
#include "scratch_dir.hpp"

namespace moe_test {

/// A copy of a model, and its packed file with the bytes as they were written.
struct Packed {
  ScratchDir scratch{"moe_packs"};
  std::string model, path;
  std::string bytes;

  explicit Packed(const std::string& name = "qwen3_moe", moe::ContentHash hash = nullptr)
      : model(scratch / name), path(scratch / "model.moepack") {
    const std::filesystem::path from = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/golden" / name;
    std::filesystem::create_directory(model);
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"})
      if (std::filesystem::exists(from / file)) std::filesystem::copy(from / file, std::filesystem::path(model) / file);
    make(hash);
  }
  void make(moe::ContentHash hash) {
    const auto report = moe::write_pack(model, path, {.content_hash = hash});
    if (!report) FAIL(report.error().message);
    bytes = read_file(path);
  }
  moe::Result<std::shared_ptr<const moe::Model>> load(moe::LoadOptions options = {}) const {
    options.tokenizer = moe::TokenizerUse::optional;
    if (options.pack.empty()) options.pack = path;
    return moe::Model::load(model, options);
  }
  std::string hash_of(const std::string& pack) const {
    const auto loaded =
        moe::Model::load(model, {.tokenizer = moe::TokenizerUse::optional, .content_hash = moe::sha256, .pack = pack});
    if (!loaded) FAIL(loaded.error().message);
    return (*loaded)->content_hash();
  }
};

/// Writes it again in place: the file keeps its owner and permissions.
inline void overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  REQUIRE(out.flush().good());
}

inline std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

}  // namespace moe_test

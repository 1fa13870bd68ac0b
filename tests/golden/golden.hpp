#pragma once
// Running golden models: every model file below the golden directory, and a session's logits as a vector.

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "moe/session.hpp"
#include "support.hpp"

namespace moe_test {

struct GoldenCase {
  std::string name;
  std::filesystem::path model;     // directory or .gguf
  std::filesystem::path expected;  // golden.json; the .safetensors stands beside it under the same stem
};

/// What a GGUF file that no index lists is compared with: NAME.golden.json beside it, or for NAME-f32.gguf the directory NAME's.
inline std::filesystem::path golden_of(const std::filesystem::path& root, const std::filesystem::path& file) {
  const std::string stem = file.stem().string();
  if (const auto own = file.parent_path() / (stem + ".golden.json"); std::filesystem::exists(own)) return own;
  const auto of_directory = root / (stem.ends_with("-f32") ? stem.substr(0, stem.size() - 4) : stem) / "golden.json";
  if (!std::filesystem::exists(of_directory))
    FAIL(file << " has no golden.json: neither an index, nor a file beside it, nor a directory");
  return of_directory;
}

/// Model directories with a golden.json, the files that gguf/index.json lists, and other GGUF files in gguf/.
inline std::vector<GoldenCase> golden_cases_in(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::vector<GoldenCase> cases;
  for (const auto& entry : fs::directory_iterator(root))
    if (fs::exists(entry.path() / "golden.json") && fs::exists(entry.path() / "config.json"))
      cases.push_back({entry.path().filename().string(), entry.path(), entry.path() / "golden.json"});
  nlohmann::json listed = nlohmann::json::object();
  for (const char* folder : {"gguf-bf16", "gguf"}) {
    const fs::path index = root / folder / "index.json";
    listed = fs::exists(index) ? nlohmann::json::parse(read_file(index)) : nlohmann::json::object();
    for (const auto& [file, entry] : listed.items())
      if (fs::exists(root / folder / file))
        cases.push_back({file, root / folder / file, root / entry["golden"].get<std::string>()});
  }
  if (fs::exists(root / "gguf"))
    for (const auto& entry : fs::directory_iterator(root / "gguf"))
      if (const fs::path& file = entry.path();
          file.extension() == ".gguf" && !listed.contains(file.filename().string()))
        cases.push_back({file.filename().string(), file, golden_of(root, file)});
  std::sort(cases.begin(), cases.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return cases;
}

/// Those of MOE_GOLDEN_DIR, else of both reference folders, else the committed ones. Of families that libmoe does not have
/// yet (later_family) there may be some.
inline std::vector<GoldenCase> golden_cases() {
  const std::filesystem::path root = reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  std::vector<GoldenCase> cases = root.empty() ? std::vector<GoldenCase>{} : golden_cases_in(root);
  const std::filesystem::path later = std::filesystem::path(MOE_SOURCE_DIR) / "../shared/golden-2026";
  if (std::getenv("MOE_GOLDEN_DIR") == nullptr && std::filesystem::exists(later))
    for (GoldenCase& c : golden_cases_in(later)) cases.push_back(std::move(c));
  return cases;
}

/// Golden models with layers that libmoe does not compute: hyper-connections.
inline bool is_later_family(const GoldenCase& c) {
  for (const char* name : {"deepseek_v4"})
    if (c.name.starts_with(name)) return true;
  return false;
}
/// What a file of llama.cpp's converter has lost, empty for the others.
inline std::string lost_in_conversion(const GoldenCase& c) {
  if (c.name == "mistral_swa-bf16.gguf") return "the converter drops the window of the `llama` architecture";
  const auto config = c.expected.parent_path() / "config.json";
  if (c.name.starts_with("granite") && c.name.ends_with(".gguf") && std::filesystem::exists(config) &&
      nlohmann::json::parse(read_file(config)).value("position_embedding_type", "") == "rope")
    return "the converter writes of every hybrid of `granitehybrid` that it has no RoPE";
  return "";
}

inline moe::SessionOptions reference_options() {
  moe::SessionOptions options;
  options.precision = moe::Precision::reference;
  options.kv = moe::KvType::f32;
  return options;
}

inline std::unique_ptr<moe::Session> open_session(const std::shared_ptr<const moe::Model>& model,
                                                  const moe::SessionOptions& options) {
  auto session = moe::Session::create(model, options);
  if (!session) FAIL("cannot create a session: " << session.error().message);
  return std::move(*session);
}

/// Appends tokens to a sequence and copies the logits asked for.
inline std::vector<float> step(moe::Session& session, moe::Sequence sequence, std::span<const moe::TokenId> tokens,
                               moe::Logits logits = moe::Logits::all) {
  const moe::BatchItem item = {sequence, tokens, logits};
  auto out = session.step({&item, 1});
  if (!out) FAIL("step: " << out.error().message);
  return {out->logits.get(), out->logits.get() + out->row_count * out->vocab_size};
}

/// The ways to compute that the numerics contract covers.
struct Setting {
  const char* name;
  moe::Precision precision;
  moe::KvType kv;
};
inline constexpr Setting kSettings[] = {{"reference, f32 cache", moe::Precision::reference, moe::KvType::f32},
                                        {"automatic, f16 cache", moe::Precision::automatic, moe::KvType::f16},
                                        {"automatic, bf16 cache", moe::Precision::automatic, moe::KvType::bf16},
                                        {"automatic, q8_0 cache", moe::Precision::automatic, moe::KvType::q8_0}};

/// Ids that exercise several key blocks where the context allows it.
inline std::vector<moe::TokenId> prompt_for(const moe::ModelConfig& c, std::int64_t seed) {
  const std::int64_t length = std::min<std::int64_t>(c.max_position - 8, 150);
  std::vector<moe::TokenId> ids;
  for (std::int64_t i = 0; i < length; ++i)
    ids.push_back(static_cast<moe::TokenId>((7919 * (i + seed) + 13) % c.vocab_size));
  return ids;
}

/// As many of them as attend to all keys: behind those, rounded numbers may lead to other keys that are chosen.
inline std::vector<moe::TokenId> prompt_before_choice(const moe::ModelConfig& c, std::int64_t seed) {
  std::vector<moe::TokenId> ids = prompt_for(c, seed);
  if (c.indexer.top_k > 0) ids.resize(std::min(ids.size(), static_cast<std::size_t>(c.indexer.top_k)));
  return ids;
}

inline moe::SessionOptions options_for(const Setting& setting, int threads, std::int64_t chunk) {
  moe::SessionOptions options;
  options.precision = setting.precision;
  options.kv = setting.kv;
  options.threads = moe::openmp_pool(threads);
  options.chunk_tokens = chunk;
  options.max_tokens = 2048;
  return options;
}

inline std::vector<float> whole_logits(const std::shared_ptr<const moe::Model>& model,
                                       const moe::SessionOptions& options, const std::vector<moe::TokenId>& ids) {
  auto session = open_session(model, options);
  return step(*session, *session->open(), ids);
}

/// The largest difference.
inline double worst(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  double difference = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i)
    difference = std::max(difference, std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i])));
  return difference;
}

}  // namespace moe_test

// Mutated model files all the way: inspected, loaded and, where they are accepted, run for one step.

#include <cmath>
#include <iostream>

#include "bad_input.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"
#include "mutate.hpp"
#include "support.hpp"

namespace {

using namespace moe_test;
namespace fs = std::filesystem;

/// What went wrong in the way an accepted model was treated; empty when nothing did.
std::string run_one_step(const std::shared_ptr<const moe::Model>& model) {
  moe::SessionOptions options;
  options.max_tokens = 64;
  auto session = moe::Session::create(model, options);
  if (!session) return session.error().code == moe::ErrorCode::internal ? session.error().message : std::string();
  const auto sequence = (*session)->open();
  if (!sequence) return {};
  const std::vector<moe::TokenId> tokens = {0, 1, static_cast<moe::TokenId>(model->config().vocab_size - 1)};
  const moe::BatchItem item{*sequence, tokens, moe::Logits::all};
  const auto out = (*session)->step({&item, 1});
  if (!out) return out.error().code == moe::ErrorCode::internal ? out.error().message : std::string();
  for (std::int64_t r = 0; r < out->row_count; ++r)
    for (const float x : out->row(r))
      if (!std::isfinite(x)) return "a logit that is not finite";
  return {};
}

/// Returns whether the model could be loaded.
bool check_model_survives(const std::string& path) {
  const auto info = moe::Model::inspect(path);
  if (!info) {
    if (info.error().message.empty() || info.error().code == moe::ErrorCode::internal)
      FAIL_CHECK("inspect: " << info.error().message);
    return false;
  }
  const auto model = moe::Model::load(path, {.tokenizer = moe::TokenizerUse::optional});
  if (!model) {
    if (model.error().message.empty() || model.error().code == moe::ErrorCode::internal)
      FAIL_CHECK("load: " << model.error().message);
    return false;
  }
  if (const std::string complaint = run_one_step(*model); !complaint.empty()) FAIL_CHECK(complaint);
  return true;
}

}  // namespace

TEST_CASE("mutated GGUF models: inspected, loaded and run") {
  const fs::path golden = reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  std::vector<fs::path> files;
  if (!golden.empty() && fs::exists(golden / "gguf"))
    for (const auto& entry : fs::directory_iterator(golden / "gguf"))
      if (entry.path().extension() == ".gguf" && fs::file_size(entry.path()) < 500'000 &&
          moe::Model::inspect(entry.path()).has_value())
        files.push_back(entry.path());
  if (files.empty()) return report_skip("mutated models", "no reference GGUF file of a known family");
  std::sort(files.begin(), files.end());
  for (const fs::path& path : files) {
    const std::string whole = read_file(path);
    const auto opened = moe::checkpoint::open(path);
    REQUIRE(opened.has_value());
    const std::size_t header_bytes = (*opened)->tensors().front().offset;
    std::mt19937_64 random(99);
    const Budget budget(2.0);
    int done = 0, accepted = 0;
    for (; done < 2000 && budget.left(); ++done) {
      CAPTURE(path.filename().string());
      CAPTURE(done);
      // Half of the damage goes to the header, half anywhere: weights may hold any bytes.
      const MemoryFile file(mutate(whole, random, done % 2 == 0 ? header_bytes : whole.size()));
      accepted += check_model_survives(file.path()) ? 1 : 0;
    }
    std::cout << path.filename().string() << ": " << done << " mutations, " << accepted << " loaded" << std::endl;
    CHECK(done > 10);
  }
}

TEST_CASE("mutated config.json") {
  const fs::path golden = reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  int models = 0;
  if (!golden.empty())
    for (const auto& entry : fs::directory_iterator(golden)) {
      if (!fs::exists(entry.path() / "model.safetensors") || !moe::Model::inspect(entry.path()).has_value()) continue;
      ++models;
      TemporaryDirectory dir;
      for (const auto& file : fs::directory_iterator(entry.path()))
        if (file.path().filename() != "config.json")
          fs::create_symlink(fs::absolute(file.path()), dir.path() / file.path().filename());
      const std::string whole = read_file(entry.path() / "config.json");
      MemoryFile config(whole);
      fs::create_symlink(config.path(), dir.path() / "config.json");
      std::mt19937_64 random(3);
      const Budget budget(0.5);
      for (int done = 0; done < 500 && budget.left(); ++done) {
        CAPTURE(entry.path().filename().string());
        CAPTURE(done);
        // Digits only: the rest is mostly not JSON any more.
        std::string text = whole;
        for (int times = 0; times < 3; ++times) {
          const std::size_t at = text.find_first_of("0123456789", random() % text.size());
          if (at != std::string::npos) text.replace(at, 1, std::to_string(random() % 1000));
        }
        REQUIRE(config.assign(text));
        const auto info = moe::Model::inspect(dir.path());
        if (!info && (info.error().message.empty() || info.error().code == moe::ErrorCode::internal))
          FAIL_CHECK(info.error().message);
      }
    }
  if (models == 0) report_skip("mutated config.json", "no reference directory of a known family");
}

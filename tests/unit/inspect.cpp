// Model::inspect() of model files and of configurations without weights, against the closed forms.

#include <nlohmann/json.hpp>

#include "moe/flops.hpp"
#include "moe/model.hpp"
#include "published.hpp"
#include "scratch_dir.hpp"

namespace inspect_test {

namespace {
namespace fs = std::filesystem;
using moe::MlaForm;
using moe_test::published;
}  // namespace

TEST_CASE("the library reads the published configurations to the same sizes") {
  std::size_t compared = 0;
  for (const auto& model : published()) {
    const std::string& name = model.first;
    const moe::ModelConfig& expected = model.second;
    CAPTURE(name);
    const auto info = moe::Model::inspect((fs::path(MOE_SOURCE_DIR) / "tests/data/published" / name).string());
    if (!info && info.error().code == moe::ErrorCode::unsupported) {
      moe_test::report_skip(name, info.error().message);
      continue;
    }
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    CHECK(info->unread_keys.empty());
    CHECK(info->total_parameters == moe::count_parameters(expected).total);
    CHECK(info->mtp_parameters == moe::count_mtp_parameters(expected));
    CHECK(moe::forward_work(info->config, 3, 5, 2, MlaForm::absorbed) ==
          moe::forward_work(expected, 3, 5, 2, MlaForm::absorbed));
    CHECK(moe::cache_values_per_token(info->config) == moe::cache_values_per_token(expected));
    CHECK(info->weight_bytes == 0);
    ++compared;
  }
  CHECK(compared >= 15);
}

TEST_CASE("MiniMax-M2 is read with its published quantization_config") {
  const auto info = moe::Model::inspect(std::string(MOE_SOURCE_DIR) + "/tests/data/published/MiniMax-M2");
  CHECK_MESSAGE(info.has_value(), info.error().message);
}

TEST_CASE("errors about a configuration are one line, whatever its texts hold") {
  const std::string evil = "x\x1b[31m\nEVIL\x07\xE2\x80\xAE";
  const moe_test::ScratchDir scratch("moe_inspect");
  std::size_t refused = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(MOE_SOURCE_DIR) / "tests/data/published")) {
    if (!fs::exists(entry.path() / "config.json")) continue;
    const auto config = nlohmann::json::parse(moe_test::read_file(entry.path() / "config.json"));
    const auto flat = config.flatten();
    for (const auto& item : flat.items()) {
      const std::string& pointer = item.key();
      auto changed = config;
      changed[nlohmann::json::json_pointer(pointer)] = evil;
      scratch.write("config.json", changed.dump());
      const auto info = moe::Model::inspect(scratch.dir.string());
      if (info) continue;
      ++refused;
      const std::string& message = info.error().message;
      CAPTURE(pointer);
      for (const char c : message) CHECK(static_cast<unsigned char>(c) >= 0x20);
      CHECK(message.find("\xE2\x80\xAE") == std::string::npos);
    }
  }
  CHECK(refused > 100);
}

TEST_CASE("closed forms agree with the tensors of every model file at hand") {
  const auto dir = moe_test::reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  if (dir.empty()) {
    moe_test::report_skip("model files", "no MOE_GOLDEN_DIR");
    return;
  }
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir))
    if (entry.path().extension() == ".gguf" || entry.path().filename() == "model.safetensors" ||
        entry.path().filename() == "model.safetensors.index.json")
      files.push_back(entry.path().extension() == ".gguf" ? entry.path() : entry.path().parent_path());
  std::size_t compared = 0;
  for (const fs::path& path : files) {
    CAPTURE(path.string());
    const auto info = moe::Model::inspect(path.string());
    if (!info && info.error().code == moe::ErrorCode::unsupported) {
      moe_test::report_skip(path.filename().string(), info.error().message);
      continue;
    }
    REQUIRE_MESSAGE(info.has_value(), info.error().message);
    const auto n = moe::count_parameters(info->config);
    CHECK(info->total_parameters == n.total);
    // A configuration may count a layer that its files do not hold, and the other way round (Qwen3-Next).
    moe::ModelConfig with_one = info->config;
    with_one.mtp_layer_count = 1;
    if (info->mtp_bytes > 0) CHECK(info->mtp_parameters == moe::count_mtp_parameters(with_one));
    REQUIRE_FALSE(info->formats.empty());
    std::int64_t bytes = 0;
    for (const moe::FormatUse& use : info->formats) bytes += use.bytes;
    CHECK(bytes == info->weight_bytes);
    // In one format, touched bytes are touched parameters times its width.
    if (info->formats.size() == 1 && info->formats[0].format == moe::Format::f32)
      CHECK(info->touched_bytes == 4 * (n.active_matmul + n.total - n.matrices + info->config.hidden_size));
    CHECK(info->touched_bytes <= info->weight_bytes + info->config.hidden_size * 4);
    ++compared;
  }
  moe_test::check_any_case(compared, "MOE_GOLDEN_DIR", "models that libmoe reads");
}

}  // namespace inspect_test

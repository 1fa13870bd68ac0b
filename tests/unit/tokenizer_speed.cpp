// Megabytes of English text a second, in processor time of one core, best of three.

#include <algorithm>
#include <ctime>

#include "checkpoint/checkpoint.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_speed_test {

using namespace moe_test;
using nlohmann::json;

namespace {

void collect_strings(const json& node, std::string& text) {
  if (node.is_string()) text += node.get<std::string>() + "\n";
  if (node.is_structured())
    for (const json& child : node) collect_strings(child, text);
}

}  // namespace

TEST_CASE("at least 20 MB/s on the questions") {
  const auto data = reference_dir("MOE_DATA_DIR", "../shared/data");
  const auto models = reference_dir("MOE_MODEL_DIR", "models/real");
  if (data.empty() || models.empty()) return report_skip("tokenizer speed", "questions or model files not there");
  std::vector<std::string> texts;
  std::size_t bytes = 0;
  for (const std::string& line : read_lines(data / "questions/mmlu.jsonl")) {
    texts.emplace_back();
    collect_strings(json::parse(line), texts.back());
    bytes += texts.back().size();
  }
  std::size_t measured = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    if (entry.path().extension() != ".gguf") continue;
    ++measured;
    const auto file = moe::checkpoint::open(entry.path().string());
    REQUIRE(file.has_value());
    const SharedTokenizer tokenizer = must((*file)->load_tokenizer());
    double best = 0;
    for (int run = 0; run < 3; ++run) {
      const std::clock_t start = std::clock();
      for (const std::string& text : texts) must_encode(*tokenizer, text);
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      best = std::max(best, static_cast<double>(bytes) / 1e6 / seconds);
    }
    MESSAGE(entry.path().filename().string() << ": " << best << " MB/s");
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
    CHECK(best >= 20);
#endif
  }
  check_any_case(measured, "MOE_MODEL_DIR", ".gguf files");
}

}  // namespace tokenizer_speed_test

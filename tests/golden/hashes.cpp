// One committed file of hashes holds over compilers, instruction sets and machines: logits of the committed models.

#include <fmt/format.h>

#include "golden/golden.hpp"

namespace hashes_test {

namespace {

using namespace moe_test;

// FNV-1a, 64 bits.
std::string hash_of(const std::vector<float>& values) {
  std::uint64_t h = 0xcbf29ce484222325u;
  const auto* bytes = reinterpret_cast<const unsigned char*>(values.data());
  for (std::size_t i = 0; i < values.size() * sizeof(float); ++i) h = (h ^ bytes[i]) * 0x100000001b3u;
  return fmt::format("{:016x}", h);
}

}  // namespace

TEST_CASE("the committed hashes of logits hold") {
  namespace fs = std::filesystem;
  const fs::path data = fs::path(MOE_SOURCE_DIR) / "tests/data";
  const auto expected = nlohmann::json::parse(read_file(data / "logit_hashes.json"));
  REQUIRE_MESSAGE(expected["numerics_version"] == moe::kNumericsVersion,
                  "numerics_version changed: run this test, look at the differences, write the new hashes");
  int checked = 0;
  for (const GoldenCase& c : golden_cases_in(data / "golden")) {
    auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(model.has_value(), c.name);
    for (const Setting& setting : kSettings) {
      const std::string key = c.name + ", " + setting.name;
      CAPTURE(key);
      const std::string found =
          hash_of(whole_logits(*model, options_for(setting, 2, 64), prompt_for((*model)->config(), 0)));
      CHECK_MESSAGE(expected["logits"].value(key, "none") == found, "\"" << key << "\": \"" << found << "\"");
      ++checked;
    }
  }
  CHECK(checked == static_cast<int>(expected["logits"].size()));
}

}  // namespace hashes_test

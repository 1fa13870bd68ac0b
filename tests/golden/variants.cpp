// Spellings of config.json: the same weights under many configurations, against what transformers computes for each
// (tests/data/variants).

#include <cmath>
#include <cstdlib>

#include "golden/golden.hpp"
#include "scratch_dir.hpp"

namespace variants_test {

namespace {

using namespace moe_test;
using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kFolder = fs::path(MOE_SOURCE_DIR) / "tests/data/variants";

/// null takes a key away, {"is": null} writes null.
json changed(json config, const json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (value.is_null())
      config.erase(key);
    else
      config[key] = value == json{{"is", nullptr}} ? json(nullptr) : value;
  }
  return config;
}

}  // namespace

TEST_CASE("every spelling of a configuration means what transformers computes") {
  const json all = json::parse(read_file(kFolder / "variants.json"));
  const auto ids = all["ids"].get<std::vector<moe::TokenId>>();
  const double tolerance = all["tolerance"].get<double>();
  const ScratchDir scratch("moe_variants");
  for (const json& variant : all["variants"]) {
    const auto name = variant["model"].get<std::string>();
    CAPTURE(name);
    CAPTURE(variant["variant"].get<std::string>());
    fs::copy_file(kFolder / name / "model.safetensors", scratch.dir / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    std::ofstream(scratch.dir / "config.json")
        << changed(json::parse(read_file(kFolder / name / "config.json")), variant["changes"]);
    const auto model = moe::Model::load(scratch.dir.string(), {.tokenizer = moe::TokenizerUse::optional});
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    CHECK((*model)->info().unread_keys.empty());
    auto session = open_session(*model, reference_options());
    const std::vector<float> logits = step(*session, *session->open(), ids, moe::Logits::last);
    const auto expected = variant["logits"].get<std::vector<float>>();
    REQUIRE(logits.size() == expected.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(logits[i]) - static_cast<double>(expected[i])));
    CHECK(worst <= tolerance);
  }
  CHECK(all["variants"].size() >= 80);
}

}  // namespace variants_test

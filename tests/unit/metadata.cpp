// Model::metadata(): what the files say beside the weights, from both kinds of file.

#include "moe/metadata.hpp"

#include "model/model_metadata.hpp"
#include "moe/model.hpp"
#include "moe/quantize.hpp"
#include "scratch_dir.hpp"

namespace metadata_test {

using moe::find_metadata;
using moe::Metadata;

namespace {

namespace fs = std::filesystem;
const std::string kTiny = MOE_SOURCE_DIR "/tests/data/golden/qwen3_moe";

Metadata of_json(const std::string& text) {
  Metadata out;
  moe::add_json_metadata(text, "", out);
  return out;
}

struct Folder : moe_test::ScratchDir {
  Folder() : ScratchDir("moe_metadata") {}
};

}  // namespace

TEST_CASE("config.json and generation_config.json, by key") {
  const Folder folder;
  for (const auto& entry : fs::directory_iterator(kTiny)) fs::copy(entry.path(), folder.dir / entry.path().filename());
  std::ofstream(folder.dir / "generation_config.json")
      << R"({"temperature": 0.6, "eos_token_id": [1, 2], "do_sample": true})";
  const auto model = moe::Model::load(folder.dir.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  const Metadata& m = (*model)->metadata();
  REQUIRE(find_metadata<std::string>(m, "model_type") != nullptr);
  CHECK(*find_metadata<std::string>(m, "model_type") == "qwen3_moe");
  CHECK(*find_metadata<std::int64_t>(m, "num_experts") == 10);
  CHECK(*find_metadata<double>(m, "rms_norm_eps") == 1e-6);
  CHECK(*find_metadata<bool>(m, "use_cache"));
  CHECK(*find_metadata<std::vector<std::string>>(m, "architectures") ==
        std::vector<std::string>{"Qwen3MoeForCausalLM"});
  CHECK(find_metadata<double>(m, "num_experts") == nullptr);  // another type
  CHECK(m.find("pad_token_id") == m.end());                   // null
  CHECK(*find_metadata<double>(m, "generation_config.temperature") == 0.6);
  CHECK(*find_metadata<std::vector<std::int64_t>>(m, "generation_config.eos_token_id") ==
        std::vector<std::int64_t>{1, 2});
  CHECK(m == (*model)->info().metadata);
  const auto inspected = moe::Model::inspect(folder.dir.string());
  REQUIRE(inspected.has_value());
  CHECK(inspected->metadata == m);
}

TEST_CASE("a bare config.json has them too") {
  const auto info = moe::Model::inspect(MOE_SOURCE_DIR "/tests/data/published/DeepSeek-V3");
  REQUIRE(info.has_value());
  CHECK(*find_metadata<std::int64_t>(info->metadata, "n_routed_experts") == 256);
  CHECK(find_metadata<std::string>(info->metadata, "model_type") != nullptr);
}

TEST_CASE("GGUF keys, without the vocabulary") {
  const Folder folder;
  const std::string file = (folder.dir / "m.gguf").string();
  const auto written = moe::quantize(kTiny, file);
  REQUIRE_MESSAGE(written.has_value(), written.error().message);
  const auto model = moe::Model::load(file);
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  const Metadata& m = (*model)->metadata();
  CHECK(*find_metadata<std::string>(m, "general.architecture") == "qwen3moe");
  CHECK(std::get<std::int64_t>(m.at("qwen3moe.expert_count")) == 10);
  CHECK(m.find("tokenizer.ggml.model") != m.end());
  for (const auto& [key, value] : m)
    if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
      CHECK(texts->size() <= moe::kMaxMetadataList);
}

TEST_CASE("values of JSON: objects with dots, lists of one type, nothing that is no value") {
  const Metadata m = of_json(R"({"a": {"b": {"c": 1.5}}, "n": null, "nan": NaN, "mixed": [1, "x"], "deep": [[1]],
      "whole": [1, 2], "real": [1, 2.5], "none": [], "yes": [true, false], "big": 18446744073709551615, "minus": -3})");
  CHECK(*find_metadata<double>(m, "a.b.c") == 1.5);
  CHECK(*find_metadata<std::vector<std::int64_t>>(m, "whole") == std::vector<std::int64_t>{1, 2});
  CHECK(*find_metadata<std::vector<double>>(m, "real") == std::vector<double>{1.0, 2.5});
  CHECK(*find_metadata<std::vector<bool>>(m, "yes") == std::vector<bool>{true, false});
  CHECK(find_metadata<std::vector<std::int64_t>>(m, "none")->empty());
  CHECK(*find_metadata<std::uint64_t>(m, "big") == 18446744073709551615u);
  CHECK(*find_metadata<std::int64_t>(m, "minus") == -3);
  CHECK(m.size() == 7);
  CHECK(of_json("[1]").empty());
  CHECK(of_json("no JSON").empty());
}

TEST_CASE("what a file can make of it is bounded") {
  const std::string long_key(moe::kMaxMetadataKey, 'k');
  // Every member below a long key would repeat it.
  std::string inner;
  for (int i = 0; i < 20000; ++i) inner += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":1";
  CHECK(of_json("{\"" + long_key + "\": {" + inner + "}}").empty());
  CHECK(of_json("{\"" + long_key + "\": 1}").size() == 1);
  CHECK(of_json("{\"" + long_key + "k\": 1}").empty());
  CHECK(of_json("{" + inner + "}").size() == moe::kMaxMetadataCount);
  std::string list = "1";
  for (std::size_t i = 1; i < moe::kMaxMetadataList; ++i) list += ",1";
  CHECK(of_json("{\"l\": [" + list + "]}").size() == 1);
  CHECK(of_json("{\"l\": [" + list + ",1]}").empty());
}

}  // namespace metadata_test

// End tokens from the files of a Hugging Face directory, and rows without a token.

#include <nlohmann/json.hpp>

#include "checkpoint/checkpoint.hpp"
#include "moe/session.hpp"
#include "scratch_dir.hpp"

namespace end_tokens_test {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;
using Ids = std::vector<moe::TokenId>;

/// A copy of the small model; its tokenizer has 316 tokens, the model 320 rows, EOS is 1.
struct ModelCopy : moe_test::ScratchDir {
  ModelCopy() : ScratchDir("moe_end_tokens") {
    fs::copy(fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe", dir);
    edit("config.json", [](json& config) { config.erase("eos_token_id"); });
  }
  template <class Edit>
  void edit(const char* name, Edit&& change) const {
    json file = fs::exists(dir / name) ? json::parse(moe_test::read_file(dir / name)) : json::object();
    change(file);
    std::ofstream(dir / name) << file;
  }
  void name_ends(const char* file, const json& ids) const {
    edit(file, [&](json& f) { f["eos_token_id"] = ids; });
  }
  moe::Result<std::shared_ptr<const moe::Tokenizer>> tokenizer() const {
    auto file = moe::checkpoint::open(dir.string());
    REQUIRE_MESSAGE(file.has_value(), file.error().message);
    return (*file)->load_tokenizer(320);
  }
};

void check_ends(const ModelCopy& model, const Ids& all, const Ids& generate) {
  const auto tokenizer = model.tokenizer();
  REQUIRE_MESSAGE(tokenizer.has_value(), tokenizer.error().message);
  CHECK((*tokenizer)->stop_ids() == all);
  CHECK((*tokenizer)->generate_stop_ids() == generate);
  CHECK((*tokenizer)->eos() == 1);
}

}  // namespace

TEST_CASE("replies end at any id of generation_config.json, config.json and the tokenizer") {
  const ModelCopy model;
  check_ends(model, {1}, {1});
  model.name_ends("config.json", 7);
  check_ends(model, {1, 7}, {1, 7});
  model.edit("config.json", [](json& config) { config["text_config"] = {{"eos_token_id", {8, 7}}}; });
  check_ends(model, {1, 7, 8}, {1, 7});
  model.name_ends("config.json", nullptr);
  check_ends(model, {1, 7, 8}, {1, 7, 8});
  model.edit("config.json", [](json& config) { config.erase("text_config"); });
  // Where there is a generation_config.json, transformers does not ask config.json, even if it names none.
  model.name_ends("config.json", {7, 319, 1});
  model.edit("generation_config.json", [](json& file) { file["do_sample"] = false; });
  check_ends(model, {1, 7, 319}, {1});
  model.name_ends("generation_config.json", {9, 2});
  check_ends(model, {1, 2, 7, 9, 319}, {1, 2, 9});
  model.name_ends("generation_config.json", 318);
  check_ends(model, {1, 7, 318, 319}, {1, 318});
}

TEST_CASE("an end token that is no id of the model is an error that names file and key") {
  const ModelCopy model;
  const auto check = [&](const char* file, const json& value, const std::string& says) {
    model.name_ends(file, value);
    const auto refused = model.tokenizer();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == moe::ErrorCode::bad_file);
    CHECK(refused.error().message.find((model.dir / file).string() + ": eos_token_id " + says) == 0);
    model.name_ends(file, nullptr);
  };
  for (const char* file : {"config.json", "generation_config.json"}) {
    check(file, 320, "is 320, expected an id from 0 to 319");
    check(file, json::array({2, 100000}), "is 100000");
    check(file, -1, "is -1");
    for (const json& value : {json("1"), json(1.5), json(true), json::array({1, "2"}), json::object(), json(~0ull)})
      check(file, value, "");
  }
  std::ofstream(model.dir / "generation_config.json") << "{";
  CHECK_FALSE(model.tokenizer().has_value());
}

TEST_CASE("rows behind the vocabulary are in padded_row() alone") {
  const ModelCopy copy;
  const auto model = moe::Model::load(copy.dir.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  REQUIRE((*model)->tokenizer() != nullptr);
  const auto check = [](const std::shared_ptr<const moe::Model>& of, std::size_t tokens) {
    auto session = moe::Session::create(of);
    const Ids ids = {5, 6, 7};
    const moe::BatchItem item{*(*session)->open(), ids, moe::Logits::all};
    const auto out = (*session)->step({&item, 1});
    REQUIRE(out.has_value());
    for (std::int64_t r = 0; r < 3; ++r) {
      CHECK(out->padded_row(r).data() == out->logits.get() + 320 * r);
      CHECK(out->padded_row(r).size() == 320);
      CHECK(out->row(r).data() == out->padded_row(r).data());
      CHECK(out->row(r).size() == tokens);
    }
  };
  check(*model, 316);
  fs::remove(copy.dir / "tokenizer.json");  // then every row is a token
  check(*moe::Model::load(copy.dir.string(), {.tokenizer = moe::TokenizerUse::optional}), 320);
}

}  // namespace end_tokens_test

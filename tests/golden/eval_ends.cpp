// Where replies end: at the tokens and texts at which the reference harness ends them.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "eval/score/text.hpp"
#include "moe/eval/session_model.hpp"
#include "scratch_dir.hpp"

namespace eval_ends_test {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using namespace moe::eval;

namespace {

const fs::path kModel = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
const std::string kContext = "Numbers and words.\n\nQuestion: 3 and a?\nAnswer:";

struct Scratch : moe_test::ScratchDir {
  Scratch() : ScratchDir("moe_eval_ends") {}
};

std::shared_ptr<const moe::Model> load(const fs::path& folder) {
  const auto model = moe::Model::load(folder.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

Generation reply(const fs::path& folder, const std::vector<std::string>& stop = {}, const std::string& think_end = {}) {
  const std::vector<GenerateRequest> request = {{kContext, stop, 16, "q", think_end}};
  auto scorer = SessionModel::create(load(folder));
  REQUIRE(scorer.has_value());
  auto replies = (*scorer)->generate(request, {});
  REQUIRE_MESSAGE(replies.has_value(), replies.error().message);
  return replies->front();
}

// The ids of a greedy reply, token by token, alone in a Session.
std::vector<moe::TokenId> ids_of_reply(const std::shared_ptr<const moe::Model>& model, const std::string& context,
                                       std::int64_t count) {
  auto session = moe::Session::create(model);
  REQUIRE(session.has_value());
  const moe::Tokenizer& tokenizer = *model->tokenizer();
  std::vector<moe::TokenId> next = *tokenizer.encode(context), written;
  const moe::Sequence sequence = *(*session)->open();
  for (std::int64_t i = 0; i < count; ++i) {
    const moe::BatchItem item{sequence, next, moe::Logits::last};
    const auto output = (*session)->step({&item, 1});
    REQUIRE(output.has_value());
    const auto row = output->padded_row(0);
    next = {static_cast<moe::TokenId>(std::max_element(row.begin(), row.end()) - row.begin())};
    written.push_back(next[0]);
    if (tokenizer.is_stop(next[0])) break;
  }
  return written;
}

}  // namespace

TEST_CASE("replies end at the ids at which the reference harness ends them") {
  const Scratch scratch;
  const std::vector<moe::TokenId> written = ids_of_reply(load(kModel), kContext, 16);
  REQUIRE(written.size() > 6);
  std::size_t n = 3;
  while (std::count(written.begin(), written.begin() + static_cast<std::ptrdiff_t>(n), written[n]) > 0) ++n;
  const auto with = [&](const char* name, const Json& generation, const Json& config) {
    const fs::path copy = scratch.dir / name;
    fs::copy(kModel, copy);
    if (!generation.is_null()) std::ofstream(copy / "generation_config.json") << Json{{"eos_token_id", generation}};
    Json file = Json::parse(moe_test::read_file(copy / "config.json"));
    file["eos_token_id"] = config;
    std::ofstream(copy / "config.json") << file;
    return copy;
  };
  const Json ends = Json::array({1, written[n]});
  for (const fs::path& copy : {with("generation", ends, 1), with("config", nullptr, ends)}) {
    const Generation got = reply(copy);
    CHECK(got.finished);
    CHECK(got.generated_tokens == static_cast<std::int32_t>(n) + 1);  // the end token is one of them
  }
  // generate() does not ask config.json where there is a generation_config.json.
  CHECK(reply(with("both", 1, ends)).generated_tokens == reply(kModel).generated_tokens);
}

TEST_CASE("the text of EOS ends a reply although ordinary tokens spell it") {
  const Scratch scratch;
  // A stretch of the reply that is no token becomes the name of the token 1, which the reply has not.
  const fs::path copy = scratch.dir / "spelled";
  fs::copy(kModel, copy);
  Json file = Json::parse(moe_test::read_file(copy / "tokenizer.json"));
  const std::string whole = reply(kModel).text;
  std::string part;
  for (std::size_t i = 3; i + 3 < whole.size() && part.empty(); ++i) {
    const std::string three = whole.substr(i, 3);
    const bool ascii = std::all_of(three.begin(), three.end(), [](char c) { return c > ' ' && c < 0x7f; });
    if (ascii && !file["model"]["vocab"].contains(three) && kContext.find(three) == std::string::npos) part = three;
  }
  REQUIRE(part.size() == 3);
  for (Json& added : file["added_tokens"])
    if (added["id"] == 1) added["content"] = part;
  file["model"]["vocab"].erase("<|im_end|>");
  file["model"]["vocab"][part] = 1;
  std::ofstream(copy / "tokenizer.json") << file;
  std::ofstream(copy / "tokenizer_config.json") << Json{{"eos_token", part}};
  CHECK(reply(copy).text == whole.substr(0, whole.find(part)));
}

TEST_CASE(
    "the answer of a reply with thoughts begins behind the last end of thoughts, and stop texts cut what is left") {
  const Generation whole = reply(kModel);
  const auto is_ascii = [&](std::size_t i) { return whole.text[i] > ' ' && whole.text[i] < 0x7f; };
  std::size_t at = whole.text.size() / 3;
  while (at + 1 < whole.text.size() && !is_ascii(at)) ++at;
  REQUIRE(at + 1 < whole.text.size());
  const std::string end = whole.text.substr(at, 1);
  const std::string answer(after_thinking(whole.text, end));
  REQUIRE(answer.size() < whole.text.size());
  const Generation got = reply(kModel, {}, end);
  CHECK(got.text == answer);
  CHECK(got.generated_tokens == whole.generated_tokens);
  // A reply ends at a stop text anywhere, as in the harness; the text after the thoughts is then cut there.
  const Generation cut = reply(kModel, {end}, end);
  CHECK(cut.generated_tokens <= whole.generated_tokens);
  CHECK(cut.text.find(end) == std::string::npos);
  CHECK(reply(kModel, {}, "no such text").text == after_thinking(whole.text, "no such text"));
}

}  // namespace eval_ends_test

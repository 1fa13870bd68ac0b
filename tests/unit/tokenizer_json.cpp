// tokenizer.json files against the ids that transformers gives.

#include <map>

#include "tokenizer_support.hpp"

namespace tokenizer_json_test {

using namespace moe_test;
using nlohmann::json;

namespace {

SharedTokenizer load(const std::filesystem::path& tokenizer_json) {
  const auto config = tokenizer_json.parent_path() / "tokenizer_config.json";
  return must(moe::Tokenizer::create(moe::JsonTokenizer{
      read_file(tokenizer_json), std::filesystem::exists(config) ? read_file(config) : std::string()}));
}

// How the harness splits a request: white space at the end of the context belongs to the continuation.
void check_pair(const moe::Tokenizer& tokenizer, std::string context, std::string continuation,
                const Ids& expected_context, const Ids& expected_continuation) {
  const std::size_t end = context.find_last_not_of(" \n\t\r") + 1;
  continuation = context.substr(end) + continuation;
  context.resize(end);
  const Ids whole = must_encode(tokenizer, context + continuation, true);
  const Ids head = must_encode(tokenizer, context, true);
  CHECK(show(head) == show(expected_context));
  CHECK(show(Ids(whole.begin() + static_cast<std::ptrdiff_t>(head.size()), whole.end())) ==
        show(expected_continuation));
}

}  // namespace

TEST_CASE("tokenizer_cases.json through its tokenizer.json files") {
  const auto dir = reference_dir("MOE_GOLDEN_DIR", "../shared/golden");
  if (dir.empty()) return report_skip("tokenizer_cases.json", "MOE_GOLDEN_DIR not there");
  int cases = 0;
  const json all = json::parse(read_file(dir / "tokenizer_cases.json"));
  for (const json& kind : all["tokenizers"]) {
    CAPTURE(kind["kind"].get<std::string>());
    const SharedTokenizer tokenizer = load(dir / kind["tokenizer_json"].get<std::string>());
    for (const json& c : kind["cases"]) {
      const auto text = c["text"].get<std::string>();
      CAPTURE(text);
      CHECK(show(must_encode(*tokenizer, text)) == show(ids_of(c["ids"])));
      CHECK(show(must_encode(*tokenizer, text, true)) == show(ids_of(c["ids_with_special"])));
      CHECK(must_decode(*tokenizer, ids_of(c["ids"])) == c["decoded"].get<std::string>());
      ++cases;
    }
  }
  CHECK_MESSAGE(cases > 0, "no case in " << dir);
}

TEST_CASE("the tokenizer of every golden model loads and goes there and back") {
  const auto dir = reference_dir("MOE_GOLDEN_DIR", "../shared/golden");
  if (dir.empty()) return report_skip("golden tokenizers", "MOE_GOLDEN_DIR not there");
  int models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (!std::filesystem::exists(entry.path() / "tokenizer.json")) continue;
    CAPTURE(entry.path());
    ++models;
    const SharedTokenizer tokenizer = load(entry.path() / "tokenizer.json");
    const json config = json::parse(read_file(entry.path() / "tokenizer_config.json"));
    CHECK(tokenizer->eos() == tokenizer->find(config["eos_token"].get<std::string>()));
    CHECK(tokenizer->bos().has_value() == config["bos_token"].is_string());
    CHECK(tokenizer->adds_bos() == config["bos_token"].is_string());
    const std::string text =
        "One line, 12345 + 678.\n\n  Two\t\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x9a\x80 it's \xc3\xa9t\xc3\xa9\r\n ";
    CHECK(must_decode(*tokenizer, must_encode(*tokenizer, text)) == text);
    CHECK(must_decode(*tokenizer, must_encode(*tokenizer, text, true), true) == text);
  }
  CHECK_MESSAGE(models > 0, "no model directory in " << dir);
  MESSAGE(models << " tokenizers");
}

TEST_CASE("tiny_moe: context and continuation as the harness splits them") {
  const auto dir = reference_dir("MOE_TINY_MOE_DIR", "../shared/data/tiny_moe");
  if (dir.empty()) return report_skip("tiny_moe", "MOE_TINY_MOE_DIR not there");
  const SharedTokenizer tokenizer = load(dir / "tokenizer.json");
  int pairs = 0;
  for (const std::string& line : read_lines(dir / "encode_pairs.jsonl")) {
    const json c = json::parse(line);
    CAPTURE(line);
    const auto context = c["context"].get<std::string>();
    CHECK(show(must_encode(*tokenizer, context + c["continuation"].get<std::string>())) == show(ids_of(c["whole"])));
    // The split itself is the evaluator's; here its two halves are texts of their own.
    const std::string head = must_decode(*tokenizer, ids_of(c["ctx"]));
    CHECK(show(must_encode(*tokenizer, head)) == show(ids_of(c["ctx"])));
    if (!context.empty()) CHECK(context.substr(0, head.size()) == head);
    ++pairs;
  }
  CHECK(pairs > 0);
}

TEST_CASE("pilot: a pattern of its own, the ids of the whole exam") {
  const auto dir = reference_dir("MOE_PILOT_DIR", "../shared/pilot");
  if (dir.empty()) return report_skip("pilot", "MOE_PILOT_DIR not there");
  std::map<std::string, json> questions;
  for (const std::string& line : read_lines(dir / "exam.jsonl")) {
    json question = json::parse(line);
    const auto id = question["id"].get<std::string>();
    questions[id] = std::move(question);
  }
  int pairs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    const auto reference = dir / (entry.path().filename().string() + ".reference.jsonl.gz");
    if (!std::filesystem::exists(entry.path() / "tokenizer.json") || !std::filesystem::exists(reference)) continue;
    const SharedTokenizer tokenizer = load(entry.path() / "tokenizer.json");
    for (const std::string& line : read_lines(reference)) {
      const json expected = json::parse(line);
      const json& question = questions.at(expected["id"].get<std::string>());
      const std::string context = "Question: " + question["question"].get<std::string>() + "\nAnswer:";
      CAPTURE(context);
      const json& choices = question["choices"];
      REQUIRE(choices.size() == expected["cont_tok"].size());
      for (std::size_t i = 0; i < choices.size(); ++i) {
        check_pair(*tokenizer, context, " " + choices[i].get<std::string>(), ids_of(expected["ctx_tok"]),
                   ids_of(expected["cont_tok"][i]));
        ++pairs;
      }
    }
  }
  CHECK(pairs > 0);
  MESSAGE(pairs << " pairs");
}

}  // namespace tokenizer_json_test

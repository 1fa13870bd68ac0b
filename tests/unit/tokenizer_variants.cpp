// tokenizer.json of every known kind, and named GGUF pre-tokenizers, against the ids of PyPI's tokenizers
// (tests/data/tokenizers/make.py).

#include <algorithm>
#include <map>

#include "tokenizer/gguf_arrays.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_variants_test {

using namespace moe_test;
using nlohmann::json;

namespace {

const std::filesystem::path kFolder = std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/tokenizers";

json changed(json file, const json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (key == "model") {
      file["model"].update(value);
    } else if (key == "without") {
      std::map<int, std::string> left;
      for (const auto& [token, id] : file["model"]["vocab"].items())
        if (std::find(value.begin(), value.end(), json(token)) == value.end()) left[id.get<int>()] = token;
      file["model"]["vocab"] = json::object();
      int next = 0;
      for (const auto& [id, token] : left) file["model"]["vocab"][token] = next++;
    } else {
      file[key] = value;
    }
  }
  return file;
}

// The same as the arrays of a GGUF file.
moe::GgufVocabulary arrays_of(const json& file, const std::string& pre) {
  moe::GgufVocabulary v;
  v.model = pre == "gemma4" ? pre : "gpt2";
  v.pre = pre;
  v.tokens.resize(file["model"]["vocab"].size());
  v.types.assign(v.tokens.size(), moe::tokenizer::kNormal);
  for (const auto& [token, id] : file["model"]["vocab"].items()) {
    v.tokens[id.get<std::size_t>()] = token;
    if (pre == "gemma4" && token.starts_with("<0x")) v.types[id.get<std::size_t>()] = moe::tokenizer::kByte;
  }
  for (const json& added : file["added_tokens"]) v.types[added["id"].get<std::size_t>()] = moe::tokenizer::kControl;
  for (const json& m : file["model"]["merges"])
    v.merges.push_back(m[0].get<std::string>() + " " + m[1].get<std::string>());
  return v;
}

struct Cases {
  std::vector<std::string> texts;
  std::vector<json> variants;
};

Cases read_cases() {
  Cases cases;
  for (const std::string& line : read_lines(kFolder / "cases.jsonl.gz")) {
    json entry = json::parse(line);
    if (entry.contains("texts"))
      cases.texts = entry["texts"].get<std::vector<std::string>>();
    else
      cases.variants.push_back(std::move(entry));
  }
  REQUIRE(cases.texts.size() == 400);
  REQUIRE(cases.variants.size() > 40);
  return cases;
}

void check_ids(const moe::Tokenizer& tokenizer, const Cases& cases, const json& variant) {
  int wrong = 0;
  for (std::size_t i = 0; i < cases.texts.size(); ++i) {
    const Ids expected = ids_of(variant["ids"][i]);
    const Ids got = must_encode(tokenizer, cases.texts[i]);
    if (got == expected || ++wrong > 3) continue;
    INFO(cases.texts[i]);
    CHECK(show(got) == show(expected));
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("every kind of tokenizer.json gives the ids and the texts of the tokenizers package") {
  const Cases cases = read_cases();
  for (const json& variant : cases.variants) {
    const auto name = variant["name"].get<std::string>();
    CAPTURE(name);
    const json base = json::parse(read_file(kFolder / (variant["base"].get<std::string>() + ".json")));
    const json file = changed(base, variant["changes"]);
    const SharedTokenizer tokenizer = must(moe::Tokenizer::create(moe::JsonTokenizer{file.dump(), {}}));
    check_ids(*tokenizer, cases, variant);
    for (std::size_t i = 0; i < variant["with_special"].size(); ++i)
      CHECK(show(must_encode(*tokenizer, cases.texts[i], true)) == show(ids_of(variant["with_special"][i])));
    for (std::size_t i = 0; variant.contains("decoded") && i < variant["decoded"].size(); ++i) {
      const Ids ids = ids_of(variant["ids"][i]);
      CAPTURE(show(ids));
      CHECK(must_decode(*tokenizer, ids) == variant["decoded"][i].get<std::string>());
      if (i < variant["without_special"].size())
        CHECK(must_decode(*tokenizer, ids, true) == variant["without_special"][i].get<std::string>());
    }
  }
}

TEST_CASE("GGUF's named pre-tokenizers split as the models' own tokenizer.json") {
  const Cases cases = read_cases();
  int names = 0;
  for (const json& variant : cases.variants)
    for (const json& pre : variant["pre"]) {
      CAPTURE(pre.get<std::string>());
      const json file = json::parse(read_file(kFolder / (variant["base"].get<std::string>() + ".json")));
      const SharedTokenizer tokenizer = must(moe::Tokenizer::create(arrays_of(file, pre.get<std::string>())));
      check_ids(*tokenizer, cases, variant);
      ++names;
    }
  CHECK(names > 20);
}

TEST_CASE("as SentencePiece's scores in a GGUF file: the same ids where the merges are SentencePiece's") {
  const Cases cases = read_cases();
  json file = json::parse(read_file(kFolder / "characters.json"));
  // What converters make of a SentencePiece model: every pair of tokens that joins into one, by the joined one's rank.
  std::vector<std::string> ranked;
  for (const json& merge : file["model"]["merges"]) {
    const std::string joined = merge[0].get<std::string>() + merge[1].get<std::string>();
    if (std::find(ranked.begin(), ranked.end(), joined) == ranked.end()) ranked.push_back(joined);
  }
  json merges = json::array();
  const auto is_token = [&](const std::string& text) { return file["model"]["vocab"].contains(text); };
  for (const std::string& token : ranked)
    for (std::size_t cut = 1; cut < token.size(); ++cut)
      if (is_token(token.substr(0, cut)) && is_token(token.substr(cut)))
        merges.push_back({token.substr(0, cut), token.substr(cut)});
  file["model"]["merges"] = merges;
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  const json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  for (const bool in_front : {false, true}) {
    CAPTURE(in_front);
    file["normalizer"] = in_front ? json{{"type", "Sequence"}, {"normalizers", {prepend, replace}}} : json(replace);
    auto arrays = moe::tokenizer::vocabulary_from_json(file.dump(), R"({"bos_token": "<s>", "eos_token": "</s>"})");
    REQUIRE_MESSAGE(arrays.has_value(), arrays.error().message);
    CHECK(arrays->model == "llama");
    CHECK(arrays->add_space_prefix == in_front);
    const SharedTokenizer written = must(moe::Tokenizer::create(*arrays));
    const SharedTokenizer read = must(moe::Tokenizer::create(moe::JsonTokenizer{file.dump(), {}}));
    int different = 0;
    for (const std::string& text : cases.texts)
      if (!text.empty() && must_encode(*written, text) != must_encode(*read, text)) {
        if (++different <= 3) MESSAGE(text);
      }
    CHECK(different == 0);
    CHECK(must_decode(*written, must_encode(*read, "a word")) == "a word");
  }
  file["model"]["byte_fallback"] = false;
  CHECK(moe::tokenizer::vocabulary_from_json(file.dump(), {}).error().code == moe::ErrorCode::unsupported);
}

}  // namespace tokenizer_variants_test

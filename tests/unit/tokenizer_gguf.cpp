// GGUF vocabularies against the ids that llama.cpp and transformers give.

#include "checkpoint/checkpoint.hpp"
#include "tokenizer/unicode.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_gguf_test {

using namespace moe_test;
using nlohmann::json;

namespace {

moe::Result<SharedTokenizer> load(const std::filesystem::path& path) {
  const auto file = moe::checkpoint::open(path.string());
  if (!file) FAIL(file.error().message);
  return (*file)->load_tokenizer();
}

std::vector<std::string> split_texts(const std::string& all) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (std::size_t end; (end = all.find(separator, begin)) != std::string::npos; begin = end + separator.size())
    texts.push_back(all.substr(begin, end - begin));
  if (begin < all.size()) texts.push_back(all.substr(begin));  // not every file ends with a separator
  return texts;
}

std::vector<Ids> split_ids(const std::string& all) {
  std::vector<Ids> lines;
  std::istringstream in(all);
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    Ids ids;
    for (moe::TokenId id; numbers >> id;) ids.push_back(id);
    lines.push_back(std::move(ids));
  }
  return lines;
}

}  // namespace

TEST_CASE("vocabularies with cases: the ids of llama.cpp") {
  const auto dir = reference_dir("MOE_TOKENIZER_DIR", "../shared/tokenizers");
  if (dir.empty()) return report_skip("vocabularies with cases", "MOE_TOKENIZER_DIR not there");
  int files = 0, cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (entry.path().extension() != ".gguf") continue;
    CAPTURE(entry.path());
    ++files;
    const SharedTokenizer tokenizer = must(load(entry.path()));
    const auto texts = split_texts(read_file(entry.path().string() + ".inp"));
    const auto expected = split_ids(read_file(entry.path().string() + ".out"));
    REQUIRE(texts.size() > 0);
    REQUIRE(texts.size() == expected.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i]);
      CHECK(show(must_encode(*tokenizer, texts[i])) == show(expected[i]));
      CHECK(must_decode(*tokenizer, expected[i]) == texts[i]);
      ++cases;
    }
  }
  CHECK_MESSAGE(cases > 0, "no case in " << dir);
  MESSAGE(files << " vocabularies, " << cases << " cases");
}

TEST_CASE("real models: the ids of transformers and llama.cpp") {
  const auto gold = reference_dir("MOE_REALGOLD_DIR", "../shared/realgold");
  const auto models = reference_dir("MOE_MODEL_DIR", "models/real");
  if (gold.empty() || models.empty()) return report_skip("realgold tokenizers", "reference or model files not there");
  // The model of a reference file is the GGUF whose name holds its name, whatever the case.
  const auto find_model = [&](const std::string& name) -> std::filesystem::path {
    for (const auto& entry : std::filesystem::directory_iterator(models)) {
      std::string file = entry.path().filename().string();
      for (char& c : file) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      if (entry.path().extension() == ".gguf" && file.find(name) != std::string::npos) return entry.path();
    }
    return {};
  };
  int cases = 0, files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(gold)) {
    const std::string file = entry.path().filename().string();
    if (file.rfind("tokenizer_", 0) != 0) continue;
    ++files;
    const auto model = find_model(file.substr(10, file.find('.') - 10));
    if (model.empty()) {
      report_skip(file, "no such model in " + models.string());
      continue;
    }
    CAPTURE(model);
    const SharedTokenizer tokenizer = must(load(model));
    CHECK_FALSE(tokenizer->adds_bos());
    for (const std::string& line : read_lines(entry.path())) {
      const json c = json::parse(line);
      const auto text = c["text"].get<std::string>();
      CAPTURE(text);
      CHECK(show(must_encode(*tokenizer, text)) == show(ids_of(c["ids"])));
      CHECK(show(must_encode(*tokenizer, text, false, moe::SpecialText::plain)) == show(ids_of(c["ids_plain"])));
      CHECK((must_decode(*tokenizer, ids_of(c["ids"])) == text) == c["roundtrip"].get<bool>());
      ++cases;
    }
  }
  CHECK_MESSAGE(files > 0, "no tokenizer_*.jsonl.gz in " << gold);
  MESSAGE(cases << " texts");
}

TEST_CASE("every named pre-tokenizer on the vocabularies of tokenizer_cases.json") {
  const auto dir = reference_dir("MOE_GOLDEN_DIR", "../shared/golden");
  if (dir.empty()) return report_skip("tokenizer_cases.json", "MOE_GOLDEN_DIR not there");
  int cases = 0;
  const json file_of_cases = json::parse(read_file(dir / "tokenizer_cases.json"));
  for (const json& kind : file_of_cases["tokenizers"]) {
    CAPTURE(kind["kind"].get<std::string>());
    const json file = json::parse(read_file(dir / kind["tokenizer_json"].get<std::string>()));
    moe::GgufVocabulary v;
    v.model = "gpt2";
    v.pre = kind["gguf_pre"].get<std::string>();
    for (const auto& [token, id] : file["model"]["vocab"].items()) {
      const auto at = id.get<std::size_t>();
      if (v.tokens.size() <= at) v.tokens.resize(at + 1);
      v.tokens[at] = token;
    }
    v.types.assign(v.tokens.size(), 1);
    for (const json& added : file["added_tokens"]) v.types[added["id"].get<std::size_t>()] = 3;
    for (const json& m : file["model"]["merges"])
      v.merges.push_back(m[0].get<std::string>() + " " + m[1].get<std::string>());
    const json post = file["post_processor"];
    v.add_bos = post["single"].size() > 1;
    if (*v.add_bos) v.bos = 0;
    const SharedTokenizer tokenizer = must(moe::Tokenizer::create(v));
    for (const json& c : kind["cases"]) {
      auto text = c["text"].get<std::string>();
      CAPTURE(text);
      // A GGUF file has no normaliser (llama.cpp applies none); the ids here come from the tokenizer.json, which has.
      if (file["normalizer"].is_object()) text = *moe::tokenizer::normalize(text, moe::tokenizer::Normalization::nfc);
      CHECK(show(must_encode(*tokenizer, text)) == show(ids_of(c["ids"])));
      CHECK(show(must_encode(*tokenizer, text, true)) == show(ids_of(c["ids_with_special"])));
      ++cases;
    }
  }
  CHECK_MESSAGE(cases > 0, "no case in " << dir);
}

}  // namespace tokenizer_gguf_test

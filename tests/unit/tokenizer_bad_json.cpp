// tokenizer.json files that are refused, and damaged ones.

#include <random>

#include "unit/tokenizer_json_support.hpp"

namespace tokenizer_bad_json_test {

using namespace tokenizer_json_support;

TEST_CASE("unknown parts are refused by name") {
  const auto check = [](const char* part, const json& value, ErrorCode code, const std::string& name) {
    json file = small_json();
    file[json::json_pointer(part)] = value;
    check_error(file, code, name);
  };
  for (const char* type : {"Unigram", "WordPiece", "WordLevel"})
    check("/model/type", type, ErrorCode::unsupported, type);
  for (const char* type : {"Lowercase", "Nmt", "Precompiled", "BertNormalizer"})
    check("/normalizer", {{"type", type}}, ErrorCode::unsupported, type);
  for (const char* type : {"Whitespace", "UnicodeScripts", "Punctuation"})
    check("/pre_tokenizer", {{"type", type}}, ErrorCode::unsupported, type);
  check("/pre_tokenizer", nullptr, ErrorCode::unsupported, "pre_tokenizer");
  check("/pre_tokenizer", {{"type", "Digits"}}, ErrorCode::unsupported, "ByteLevel");
  check("/post_processor", {{"type", "BertProcessing"}}, ErrorCode::unsupported, "BertProcessing");
  check("/decoder", {{"type", "WordPiece"}}, ErrorCode::unsupported, "WordPiece");
  check("/model/dropout", 0.1, ErrorCode::unsupported, "dropout");
  check("/model/end_of_word_suffix", "</w>", ErrorCode::unsupported, "end_of_word_suffix");
}

TEST_CASE("steps of character vocabularies: what is not built, or means something else at its place, is refused") {
  const json space = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  const json bytes = {{"type", "ByteFallback"}}, fuse = {{"type", "Fuse"}};
  const json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  const json metaspace = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
  json good = small_json();
  good["pre_tokenizer"] = nullptr;
  good["decoder"] = {{"type", "Sequence"}, {"decoders", {space, bytes, fuse, strip}}};
  CHECK(must_encode(*load(good), "ab") == Ids{260});
  const auto check = [&](const char* part, const json& value, ErrorCode code, const std::string& name) {
    json file = good;
    file[json::json_pointer(part)] = value;
    check_error(file, code, name);
  };
  const auto with = [](const json& step, const char* key, const json& value) {
    json changed = step;
    changed[key] = value;
    return changed;
  };
  check("/decoder", nullptr, ErrorCode::unsupported, "without decoder");
  check("/decoder/decoders/3", with(strip, "stop", 1), ErrorCode::unsupported, "Strip");
  check("/decoder/decoders/3", with(strip, "content", "x"), ErrorCode::unsupported, "Strip");
  check("/decoder/decoders/3", with(strip, "start", -1), ErrorCode::unsupported, "Strip");
  check("/decoder/decoders/3", space, ErrorCode::unsupported, "Replace");
  check("/decoder/decoders/3", bytes, ErrorCode::unsupported, "ByteFallback");
  check("/decoder/decoders/2", strip, ErrorCode::unsupported, "Strip");
  check("/decoder/decoders/2", metaspace, ErrorCode::unsupported, "Metaspace");
  check("/decoder/decoders/0", with(space, "pattern", {{"Regex", "x"}}), ErrorCode::unsupported, "Replace");
  check("/decoder/decoders/0", {{"type", "CTC"}}, ErrorCode::unsupported, "CTC");
  for (const json& sign : {json(), json(""), json("ab"), json(1)})
    check("/pre_tokenizer", with(metaspace, "replacement", sign), ErrorCode::bad_file, "replacement");
  check("/pre_tokenizer", with(metaspace, "prepend_scheme", "last"), ErrorCode::bad_file, "prepend_scheme");
  check("/pre_tokenizer", with(metaspace, "add_prefix_space", false), ErrorCode::bad_file, "add_prefix_space");
  check("/pre_tokenizer", with(metaspace, "split", 1), ErrorCode::bad_file, "split");
  check("/normalizer", {{"type", "Replace"}}, ErrorCode::bad_file, "pattern");
  check("/normalizer", with(space, "content", 1), ErrorCode::bad_file, "content");
  check("/normalizer", {{"type", "Prepend"}, {"prepend", 1}}, ErrorCode::bad_file, "prepend");
  check("/normalizer", {{"type", "Strip"}, {"strip_left", 1}}, ErrorCode::bad_file, "strip_left");
  check("/normalizer", with(space, "pattern", {{"String", ""}}), ErrorCode::unsupported, "empty");
  for (const char* pattern : {"x*", "^", "a|$", "(?=a)"})
    check("/normalizer", with(space, "pattern", {{"Regex", pattern}}), ErrorCode::unsupported, "empty");
  check("/decoder/decoders/1", {{"type", "ByteLevel"}}, ErrorCode::unsupported, "ByteLevel");
  // Bytes in GPT-2's alphabet and characters do not mix; byte_fallback never acts where every byte has its symbol.
  json mixed = small_json();
  mixed["decoder"] = fuse;
  check_error(mixed, ErrorCode::unsupported, "another decoder");
  mixed = small_json();
  mixed["model"]["byte_fallback"] = true;
  CHECK(must_encode(*load(mixed), "ab") == Ids{260});
  mixed["model"]["vocab"].erase("!");
  check_error(mixed, ErrorCode::unsupported, "byte_fallback");
}

TEST_CASE("what the tokenizers package itself reads in no useful way is refused by name") {
  json file = small_json();
  file["pre_tokenizer"] = nullptr;
  file["decoder"] = {{"type", "Fuse"}};
  file["added_tokens"] = json::array({added_token(261, "\t", {{"normalized", true}})});
  CHECK(load(file) != nullptr);
  const json strip_left = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  const json strip_right = {{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}};
  file["normalizer"] = strip_left;
  check_error(file, ErrorCode::unsupported, "leaves nothing");
  file["added_tokens"] = json::array();
  CHECK(load(file) != nullptr);

  // "first" asks where the text began before it was normalised.
  const json first = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"split", false}};
  const json digits = {{"type", "Digits"}, {"individual_digits", true}};
  const json cut = {{"type", "Sequence"}, {"pretokenizers", {digits, first}}};
  const json in_front = {{"type", "Prepend"}, {"prepend", "a"}};
  const auto accepts = [&](const json& normalizer, const json& pre) {
    file["normalizer"] = normalizer;
    file["pre_tokenizer"] = pre;
    if (moe::Tokenizer::create(moe::JsonTokenizer{file.dump(), {}}).has_value()) return true;
    check_error(file, ErrorCode::unsupported, "\"first\"");
    return false;
  };
  for (const json& pre : {first, cut}) {
    CHECK_FALSE(accepts(strip_left, pre));
    CHECK(accepts(strip_right, pre));
    CHECK(accepts({{"type", "NFC"}}, pre));
    CHECK(accepts(in_front, pre) == (pre == first));
    CHECK(accepts({{"type", "NFKC"}}, pre) == (pre == first));
  }
}

TEST_CASE("steps that make texts long are refused, by what they could make of a text together") {
  const auto replace = [](const std::string& what, const std::string& by) {
    return json{{"type", "Replace"}, {"pattern", {{"String", what}}}, {"content", by}};
  };
  const auto sequence = [](const char* type, const char* name, const json& step, std::size_t count) {
    return json{{"type", type}, {name, std::vector<json>(count, step)}};
  };
  const auto check = [&](const char* part, const char* list, const json& step, std::size_t count, bool good) {
    json file = small_json();
    file["pre_tokenizer"] = nullptr;
    file["decoder"] = {{"type", "Fuse"}};
    file[part] = sequence("Sequence", list, step, count);
    CAPTURE(file[part].dump().substr(0, 200));
    if (good)
      CHECK(load(file) != nullptr);
    else
      check_error(file, ErrorCode::unsupported, count > 64 ? "than 64" : "times as long");
  };
  const json doubled = replace("a", "aa"),
             pattern = {{"type", "Replace"}, {"pattern", {{"Regex", "x"}}}, {"content", "yy"}};
  const json in_front = {{"type", "Prepend"}, {"prepend", "a"}};
  for (const auto& [part, list] : {std::pair{"normalizer", "normalizers"}, {"decoder", "decoders"}}) {
    check(part, list, doubled, 8, true);
    check(part, list, doubled, 9, false);
    check(part, list, replace("a", std::string(257, 'a')), 1, false);
    check(part, list, replace("ab", "cd"), 64, true);
    check(part, list, replace("ab", "cd"), 65, false);
  }
  for (const json& step : {pattern, in_front}) {
    check("normalizer", "normalizers", step, 8, true);
    check("normalizer", "normalizers", step, 9, false);
  }
  check("normalizer", "normalizers", {{"type", "NFC"}}, 65, false);
}

TEST_CASE("bad tokenizer.json files are refused in one line") {
  const auto check = [](const char* part, const json& value, const std::string& name) {
    json file = small_json();
    file[json::json_pointer(part)] = value;
    check_error(file, ErrorCode::bad_file, name);
  };
  check("/model/vocab/a", -1, "id");
  check("/model/vocab/a", 1.5, "id");
  check("/model/vocab/a", "1", "id");
  check("/model/vocab/a", 98, "share the id");
  check("/model/vocab/a", 2000000000, "2000000000");
  check("/model/vocab/a", 0xffffffffffu, "id");
  check("/model/vocab", json::array(), "vocab");
  check("/model", 3, "model");
  check("/model/merges", "a b", "merges");
  check("/model/merges/0", "a  b", "merge 0");
  check("/model/merges/0", "ab", "merge 0");
  check("/model/merges/0", json::array({"a"}), "merge 0");
  check("/model/merges/0", "zz b", "merge 0");
  check("/model/unk_token", "<unk>", "unk_token");
  check("/added_tokens", json::object(), "added_tokens");
  check("/added_tokens/0", {{"content", "<t>"}}, "id");
  check("/added_tokens/0", {{"id", 261}}, "content");
  check("/added_tokens/0", added_token(5, "<t>"), "share the id");
  check("/added_tokens/0", added_token(261, "a"), "vocab");
  check("/added_tokens/0", added_token(261, "<t>", {{"lstrip", 1}}), "lstrip");
  check("/added_tokens/0", added_token(261, std::string(5000, 'x')), "5000");
  check("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}}, "compile");
  check("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "isolated"}}, "behavior");
  check("/pre_tokenizer", {{"type", "Split"}, {"behavior", "Isolated"}}, "pattern");
  check("/post_processor", {{"type", "TemplateProcessing"}, {"single", json::array()}}, "0 times");
  const std::string good = small_json().dump();
  check_error(std::string(), ErrorCode::bad_file, "tokenizer.json");
  check_error(std::string("[]"), ErrorCode::bad_file, "object");
  check_error(std::string(1000000, '['), ErrorCode::bad_file, "nested");
  check_error(R"({"a":)" + std::string(1000000, '{'), ErrorCode::bad_file, "byte");
  check_error(R"({"model": 1, "model": 2})" + std::string(), ErrorCode::bad_file, "twice");
  check_error(R"({"a": 1e999})" + std::string(), ErrorCode::bad_file, "byte");
  check_error("{\"a\": \"\xff\"}" + std::string(), ErrorCode::bad_file, "byte");
  check_error(R"({"a": "\ud800"})" + std::string(), ErrorCode::bad_file, "byte");
}

// Encoding recurses from step to step, and what a few bytes of template may add to every text is no few ids.
TEST_CASE("steps without number are refused before a text meets them") {
  const json digits = {{"type", "Digits"}}, byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  const auto sequence = [](const char* list, const std::vector<json>& steps) {
    return json{{"type", "Sequence"}, {list, steps}};
  };
  const auto pre_tokenizer = [&](std::size_t count) {
    std::vector<json> steps(count - 1, digits);
    steps.push_back(byte_level);
    json file = small_json();
    file["pre_tokenizer"] = sequence("pretokenizers", steps);
    return file;
  };
  CHECK(must_encode(*load(pre_tokenizer(64)), "a1") == Ids{'a', '1'});
  check_error(pre_tokenizer(65), ErrorCode::unsupported, "pre_tokenizer with more steps than 64");
  // As many as overflow any stack, also by sequences in sequences.
  check_error(pre_tokenizer(200'000), ErrorCode::unsupported, "pre_tokenizer with more steps than 64");
  json nested = small_json();
  nested["pre_tokenizer"] = byte_level;
  for (int i = 0; i < 20; ++i)
    nested["pre_tokenizer"] = sequence("pretokenizers", {digits, digits, digits, digits, nested["pre_tokenizer"]});
  check_error(nested, ErrorCode::unsupported, "pre_tokenizer with more steps than 64");

  json forms = small_json();
  forms["normalizer"] = sequence("normalizers", std::vector<json>(65, {{"type", "NFC"}}));
  check_error(forms, ErrorCode::unsupported, "normalizer with more steps than 64");
  json added = small_json();
  const json token = {{"SpecialToken", {{"id", "<s>"}}}};
  std::vector<json> single(1000, token);
  single.push_back({{"Sequence", {{"id", "A"}}}});
  added["post_processor"] = {{"type", "TemplateProcessing"},
                             {"single", single},
                             {"special_tokens", {{"<s>", {{"ids", std::vector<int>(1000, 1)}}}}}};
  check_error(added, ErrorCode::unsupported, "post_processor that adds more tokens than 64");
}

TEST_CASE("any cut or changed file gives a tokenizer that works or an error") {
  json file = small_json();
  file["added_tokens"] = json::array({added_token(261, "<s>")});
  file["pre_tokenizer"] = json::parse(
      R"({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|[^\\s]+"},
    "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]})");
  const std::string good = file.dump();
  const auto try_it = [](const std::string& text) {
    const auto made = moe::Tokenizer::create(moe::JsonTokenizer{text, {}});
    if (!made) {
      CHECK_FALSE(made.error().message.empty());
      return;
    }
    const auto ids = (*made)->encode("hello <s> 123 \u4f60", {.ends = moe::TextEnds::as_model});
    if (ids) CHECK((*made)->decode(*ids).has_value());
  };
  for (std::size_t length = 0; length < good.size(); length += 7) try_it(good.substr(0, length));
  std::mt19937 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string text = good;
    for (int k = 0; k < 1 + i % 3; ++k) text[random() % text.size()] = "\"{}[]:,\\0129aeN.\xff-+*"[random() % 21];
    try_it(text);
  }
}

}  // namespace tokenizer_bad_json_test

// tokenizer.json files made here: what each part means, and what is refused.

#include <random>

#include "tokenizer_support.hpp"

namespace tokenizer_bad_json_test {

using namespace moe_test;
using moe::ErrorCode;
using nlohmann::json;

namespace {

json small_json() {
  const auto v = small_vocabulary("gpt-2", {"h e", "l l", "he ll", "hell o", "a b"});
  json file =
      json::parse(R"({"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false, "ignore_merges": false}})");
  for (std::size_t id = 0; id < v.tokens.size(); ++id) file["model"]["vocab"][v.tokens[id]] = id;
  file["model"]["merges"] = v.merges;
  return file;
}

json added_token(int id, const std::string& content, const json& flags = json::object()) {
  json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  token.update(flags);
  return token;
}

SharedTokenizer load(const json& file, const std::string& config = {}) {
  return must(moe::Tokenizer::create(moe::JsonTokenizer{file.dump(), config}));
}

moe::Error error_of(const std::string& text, const std::string& config = {}) {
  const auto made = moe::Tokenizer::create(moe::JsonTokenizer{text, config});
  return made ? moe::Error{ErrorCode::internal, "it loaded"} : made.error();
}

void check_error(const std::string& text, ErrorCode code, const std::string& part, const std::string& config = {}) {
  const moe::Error error = error_of(text, config);
  CHECK_MESSAGE(error.code == code, error.message);
  CHECK_MESSAGE(error.message.find(part) != std::string::npos, error.message);
  CHECK(error.message.find('\n') == std::string::npos);
}

void check_error(const json& file, ErrorCode code, const std::string& part, const std::string& config = {}) {
  check_error(file.dump(), code, part, config);
}

}  // namespace

TEST_CASE("added tokens: special or not, white space taken along, whole words, normalised text") {
  json file = small_json();
  const int id = 261;
  const auto ids = [&](const json& flags, const std::string& text, moe::SpecialText special = moe::SpecialText::parse) {
    json with = file;
    with["added_tokens"] = json::array({added_token(id, "<t>", flags)});
    return must_encode(*load(with), text, false, special);
  };
  CHECK(ids(json::object(), "a<t>b") == Ids{'a', id, 'b'});
  CHECK(ids(json::object(), "a<t>b", moe::SpecialText::plain) == Ids{'a', '<', 't', '>', 'b'});
  CHECK(ids({{"special", false}}, "a<t>b", moe::SpecialText::plain) == Ids{'a', id, 'b'});
  CHECK(ids({{"lstrip", true}}, "a \n<t> b") == Ids{'a', id, ' ', 'b'});
  CHECK(ids({{"rstrip", true}}, "a <t> \nb") == Ids{'a', ' ', id, 'b'});
  CHECK(ids({{"single_word", true}}, "a<t> <t>b <t>") == Ids{'a', '<', 't', '>', ' ', '<', 't', '>', 'b', ' ', id});
  // Word characters are those of \w: digits and circled letters, but no fractions.
  for (const char* part : {"7", "\u0663", "\u2167", "_", "\u0301", "\u200d", "\u24b7"})
    CHECK(ids({{"single_word", true}}, std::string(part) + "<t>").back() == '>');
  for (const char* part : {"\u00bd", "\u00b2", "\u2460", "-", "\u20ac", "\u200b"})
    CHECK(ids({{"single_word", true}}, std::string(part) + "<t>").back() == id);
  file["normalizer"] = {{"type", "NFC"}};
  json composed = file;
  composed["added_tokens"] = json::array({added_token(id, "e\u0301", {{"normalized", true}})});
  CHECK(must_encode(*load(composed), "ae\u0301b\u00e9") == Ids{'a', id, 'b', id});
  composed["added_tokens"] = json::array({added_token(id, "e\u0301")});
  CHECK(must_encode(*load(composed), "e\u0301\u00e9") == Ids{id, 0xc3, 0xa9});
  file["added_tokens"] = json::array({added_token(id, "<t>"), added_token(id + 1, "<t><t>")});
  CHECK(must_encode(*load(file), "<t><t><t>") == Ids{id + 1, id});
}

TEST_CASE("steps of the pre-tokenizer") {
  json file = small_json();
  const auto ids = [&](const json& pre, const std::string& text) {
    json with = file;
    with["pre_tokenizer"] = pre;
    return must_encode(*load(with), text);
  };
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  CHECK(ids(byte_level, "ab ab") == Ids{260, ' ', 260});
  CHECK(ids({{"type", "ByteLevel"}, {"add_prefix_space", true}}, "ab") == Ids{' ', 260});
  CHECK(ids({{"type", "ByteLevel"}, {"add_prefix_space", true}}, " ab") == Ids{' ', 260});
  const auto with_split = [&](const json& pattern, const std::string& behavior, bool invert = false) {
    return json{{"type", "Sequence"},
                {"pretokenizers",
                 {{{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}}, byte_level}}};
  };
  CHECK(ids(with_split({{"String", "b"}}, "Isolated"), "ab") == Ids{'a', 'b'});
  CHECK(ids(with_split({{"Regex", "[xy]"}}, "Removed"), "axb") == Ids{'a', 'b'});
  CHECK(ids(with_split({{"Regex", "a|b"}}, "Removed", true), "axbx") == Ids{'a', 'b'});
  CHECK(ids({{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, byte_level}}},
            "ab1ab") == Ids{260, '1', 260});
  file["model"]["ignore_merges"] = true;
  file["model"]["vocab"]["xyz"] = 261;
  CHECK(ids(byte_level, "xyz") == Ids{261});
}

TEST_CASE("what goes around a text, and what tokenizer_config.json says about it") {
  json file = small_json();
  file["added_tokens"] = json::array({added_token(261, "<s>"), added_token(262, "</s>")});
  const std::string names = R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>")";
  CHECK(must_encode(*load(file, names + "}"), "a", true) == Ids{'a'});
  CHECK(must_encode(*load(file, names + R"(, "add_bos_token": true})"), "a", true) == Ids{261, 'a'});
  CHECK(must_encode(*load(file, names + R"(, "add_eos_token": true})"), "a", true) == Ids{'a', 262});
  file["post_processor"] =
      json::parse(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"}, {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
               {"SpecialToken": {"id": "</s>", "type_id": 0}}],
    "special_tokens": {"<s>": {"id": "<s>", "ids": [261]}, "</s>": {"id": "</s>", "ids": [262]}}}]})");
  CHECK(must_encode(*load(file), "a", true) == Ids{261, 'a', 262});
  CHECK(must_encode(*load(file), "a") == Ids{'a'});
  json twice = file;
  twice["post_processor"]["processors"].push_back(twice["post_processor"]["processors"][1]);
  check_error(twice, ErrorCode::unsupported, "after another");
  CHECK(load(file)->adds_bos());
  CHECK(must_encode(*load(file, names + R"(, "add_bos_token": false})"), "a", true) == Ids{'a', 262});
  CHECK(*load(file, names + "}")->eos() == 262);
  check_error(file, ErrorCode::bad_file, "bos_token", R"({"bos_token": "<none>"})");
  check_error(file, ErrorCode::bad_file, "tokenizer_config.json", "[]");
  check_error(file, ErrorCode::bad_file, "add_bos_token", R"({"add_bos_token": 1})");
}

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
  for (const char* pattern : {"x*", "^", "a|$", "\\b", "(?=a)"})
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

TEST_CASE("tokens in the white space that another one took along are found, unless nothing is left of them") {
  json file = small_json();
  const auto ids = [&](const json& flags, std::string_view text) {
    file["added_tokens"] = json::array({added_token(261, "<t>", {{"rstrip", true}}), added_token(262, "  ", flags)});
    return must_encode(*load(file), text);
  };
  CHECK(ids(json::object(), "<t>     x") == Ids{261, 262, 262, ' ', 'x'});
  CHECK(ids({{"rstrip", true}}, "<t>     x") == Ids{261, 262, 262, 'x'});
  CHECK(ids({{"lstrip", true}}, "<t>     x") == Ids{261, 'x'});
  CHECK(ids({{"lstrip", true}}, "a      x") == Ids{'a', 262, 262, 262, 'x'});
  CHECK(ids({{"lstrip", true}, {"rstrip", true}}, "a      x") == Ids{'a', 262, 'x'});
  // In time that grows with the text alone.
  CHECK(ids({{"rstrip", true}}, std::string(1 << 20, ' ')).size() == 1 << 19);
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

TEST_CASE("added tokens go on where the vocabulary ends, as the tokenizers package numbers them") {
  const auto with = [](const std::vector<json>& added, int hole = 0) {
    json file = small_json();
    if (hole != 0) file["model"]["vocab"]["zz"] = hole;  // 261 tokens before it
    file["added_tokens"] = added;
    return file;
  };
  const auto ids = [&](const std::vector<json>& added, int hole = 0) {
    return must_encode(*load(with(added, hole)), "<t><u>");
  };
  CHECK(ids({added_token(261, "<t>"), added_token(262, "<u>")}) == Ids{261, 262});
  CHECK(ids({added_token(261, "<t>"), added_token(261, "<t>"), added_token(262, "<u>")}) == Ids{261, 262});  // twice
  CHECK(ids({added_token(262, "<t>"), added_token(263, "<u>")}, 300) == Ids{262, 263});  // 262 tokens, not 301
  CHECK(must_encode(*load(with({added_token(97, "a"), added_token(261, "<t>")})), "a<t>") == Ids{97, 261});
  for (const int id : {260 + 2, 300, 4000, 2000000000})
    check_error(with({added_token(id, "<late>")}), ErrorCode::bad_file, "'<late>' has the id " + std::to_string(id));
  check_error(with({added_token(261, "<t>"), added_token(263, "<late>")}), ErrorCode::bad_file, "expected 262");
  check_error(with({added_token(262, "<t>"), added_token(261, "<u>")}), ErrorCode::bad_file, "expected 261");
  check_error(with({added_token(301, "<t>")}, 300), ErrorCode::bad_file, "expected 262");
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

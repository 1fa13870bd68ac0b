// What each part of a tokenizer.json means.

#include "unit/tokenizer_json_support.hpp"

namespace tokenizer_json_parts_test {

using namespace tokenizer_json_support;

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

}  // namespace tokenizer_json_parts_test

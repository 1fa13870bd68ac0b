// The reader of untrusted JSON: accepted and refused input, memory and time.

#include "support/json.hpp"

#include <doctest/doctest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "fuzz/allocation_meter.hpp"
#include "support/json_copy.hpp"

namespace {

using moe::JsonDocument;
using moe::JsonValue;
using Json = nlohmann::ordered_json;

JsonDocument parse(const std::string& text) {
  auto document = JsonDocument::parse(text);
  REQUIRE_MESSAGE(document.has_value(), text.substr(0, 60) << ": " << document.error().message);
  return *document;
}

std::string problem(const std::string& text) {
  const auto document = JsonDocument::parse(text);
  if (document) return "";
  CHECK(document.error().code == moe::ErrorCode::bad_file);
  return document.error().message;
}

std::string repeat(const std::string& piece, std::size_t count) {
  std::string out;
  out.reserve(piece.size() * count);
  for (std::size_t i = 0; i < count; ++i) out += piece;
  return out;
}
std::string nested(std::size_t depth) { return repeat("[", depth) + repeat("]", depth); }

}  // namespace

TEST_CASE("values, and how they are reached") {
  const JsonDocument document = parse(
      "\xef\xbb\xbf {\"a\": [1, -2, 2.5, 18446744073709551615, 1e2], \"b\": {\"\": null, "
      "\"x\\u00e9\\ud83d\\ude00\\n\": true},"
      "\r\n\t\"c\": \"\", \"d\": [], \"e\": {}, \"f\": false}");
  const JsonValue root = document.root();
  REQUIRE(root.is_object());
  CHECK(root.size() == 6);
  CHECK(document.value_count() == 22);
  const JsonValue a = *root.find("a");
  CHECK(a.size() == 5);
  CHECK(a.front().get<std::int64_t>() == 1);
  std::vector<double> numbers;
  for (const JsonValue n : a) numbers.push_back(n.get<double>());
  CHECK(numbers == std::vector<double>{1, -2, 2.5, 18446744073709551615.0, 100});
  std::vector<std::string> keys;
  for (const auto& [key, value] : root.items()) keys.emplace_back(key);
  CHECK(keys == std::vector<std::string>{"a", "b", "c", "d", "e", "f"});
  CHECK(root.find("b")->find("")->is_null());
  CHECK(root.find("b")->find("x\u00e9\U0001F600\n")->get<bool>());
  CHECK(root.find("c")->text().empty());
  CHECK(root.find("d")->empty());
  CHECK(root.find("e")->empty());
  CHECK_FALSE(root.find("f")->get<bool>());
  CHECK_FALSE(root.contains("g"));
  CHECK_FALSE(a.contains("a"));
  CHECK(a.in_ascii() == "[1,-2,2.5,18446744073709551615,100.0]");
  CHECK(root.find("b")->in_ascii() == R"({"":null,"x\u00e9\ud83d\ude00\n":true})");
  CHECK(root.in_ascii(10) == "{\"a\":[1,-2...");
}

TEST_CASE("many keys are found, and read in the order of the text") {
  std::string text = "{";
  for (int i = 0; i < 2000; ++i)
    text += (i == 0 ? "\"k" : ",\"k") + std::to_string(i * 7919 % 2000) + "\":" + std::to_string(i);
  const JsonDocument document = parse("[{\"k1\":-1}," + text + "}]");
  JsonValue large = document.root();
  for (const JsonValue element : document.root()) large = element;
  CHECK(large.size() == 2000);
  int i = 0;
  for (const auto& [key, value] : large.items()) {
    CHECK(key == "k" + std::to_string(i * 7919 % 2000));
    CHECK(large.find(key)->get<int>() == i++);
  }
  CHECK_FALSE(large.contains("k2000"));
  CHECK_FALSE(large.contains(""));
}

TEST_CASE("depth: 64 levels, whatever they are made of") {
  CHECK(problem(nested(64)) == "");
  CHECK(problem(nested(65)) == "is nested deeper than 64 levels");
  CHECK(problem(repeat("{\"a\":", 64) + "1" + repeat("}", 64)) == "");
  CHECK(problem(repeat("{\"a\":", 65) + "1" + repeat("}", 65)) == "is nested deeper than 64 levels");
  CHECK(problem(repeat("[{\"a\":", 1'000'000)) == "is nested deeper than 64 levels");
  CHECK(problem("[" + repeat(nested(63) + ",", 1000) + "1]") == "");
}

TEST_CASE("a key that is there twice, in any object") {
  CHECK(problem(R"({"a": 1, "b": 2, "a": 1})") == "has the key 'a' twice in one object");
  CHECK(problem(R"([[{"x": {"": 1, "": 1}}]])") == "has the key '' twice in one object");
  CHECK(problem(R"({"a\u0062": 1, "\u0061b": 1})") == "has the key 'ab' twice in one object");
  CHECK(problem("{\"\\u001b[2J\": 1, \"\\u001b[2J\": 1}") == "has the key '\\u001b[2J' twice in one object");
  CHECK(problem(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]})") == "");
  std::string many = "{\"twin\":0";
  for (int i = 0; i < 1000; ++i) many += ",\"" + std::to_string(i) + "\":0";
  CHECK(problem(many + "}") == "");
  CHECK(problem(many + ",\"twin\":0}") == "has the key 'twin' twice in one object");
  const std::string longest(1000, 'k');
  CHECK(problem("{\"" + longest + "\":1,\"" + longest + "\":1}").size() < 150);
}

TEST_CASE("Python's NaN and Infinity are read, and are no numbers") {
  const JsonDocument document = parse(R"({"a": NaN, "b": [Infinity, -Infinity], "NaN": "Infinity"})");
  const JsonValue root = document.root();
  CHECK_FALSE(root.find("a")->is_number());
  CHECK_FALSE(root.find("a")->is_null());
  CHECK(root.find("a")->get<double>() == 0);
  CHECK(root.in_ascii() == R"({"a":NaN,"b":[Infinity,-Infinity],"NaN":"Infinity"})");
  CHECK(moe::copy_json<Json>(root).dump() == R"({"a":null,"b":[null,null],"NaN":"Infinity"})");
  for (const char* text : {"nan", "NAN", "-NaN", "+Infinity", "Infinit", "inf", "{NaN: 1}", "[NaN NaN]", "NaNNaN"}) {
    CAPTURE(text);
    CHECK(problem(text).starts_with("is no valid JSON at byte "));
  }
}

TEST_CASE("numbers that no double holds are refused, tiny ones are 0") {
  CHECK(problem("[1e999]") == "has the number 1e999 at byte 2, which is beyond a double");
  CHECK(problem("-1" + std::string(400, '0')).find("which is beyond a double") != std::string::npos);
  CHECK(problem("[" + std::string(2000, '1') + "]") ==
        "has a number of 2000 characters at byte 2, expected at most 1024");
  CHECK(parse("1e-999").root().get<double>() == 0);
  CHECK(parse("18446744073709551616").root().get<double>() == 18446744073709551616.0);
  CHECK(parse("-9223372036854775808").root().get<std::int64_t>() == INT64_MIN);
  CHECK_FALSE(parse("-9223372036854775809").root().is_number_integer());
  CHECK(parse("1.0").root().is_number());
  CHECK_FALSE(parse("1.0").root().is_number_integer());
}

TEST_CASE("broken texts name the byte") {
  CHECK(problem("") == "is no valid JSON at byte 1");
  CHECK(problem("[1,]") == "is no valid JSON at byte 4");
  CHECK(problem("{\"a\" 1}") == "is no valid JSON at byte 6");
  CHECK(problem("[1] x") == "is no valid JSON at byte 5");
  CHECK(problem("\"a") == "is no valid JSON at byte 3");
}

// nlohmann's parser says what JSON is: neither reads more than the other, but for the words above and the bounds.
TEST_CASE("texts changed at random: read as nlohmann reads them, or refused as it refuses") {
  const std::string seeds[] = {
      R"({"a": [1, -2.5e+3, true, false, null], "b\u0041\\\/": {"c": "d\ud83d\ude00é€😀"}, "": [[], {}, ""]})",
      R"([0, -0, 0.0, 10, 1e5, 1E-5, 123456789012345678901234567890, "\b\f\n\r\t\""])",
      "{\"question\": \"x\", \"choices\": [\"a\", \"b\"],\n \"answer\": 0}"};
  const std::string pieces = "{}[]\",:\\u0123456789abcdefEtrn+-. \n\t\x01\x7f\xc3\xa9\xed\xa0\x80\xff/";
  std::mt19937 random(11);
  int read = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = seeds[round % 3];
    for (auto changes = random() % 4; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      const char piece = pieces[random() % pieces.size()];
      if (random() % 3 == 0)
        text.insert(at, 1, piece);
      else if (random() % 2 == 0)
        text[at] = piece;
      else
        text.erase(at, 1);
      if (text.empty()) text = " ";
    }
    const auto ours = JsonDocument::parse(text);
    const Json theirs = Json::parse(text, nullptr, false);
    if (!ours && !theirs.is_discarded() && ours.error().message.find("twice") != std::string::npos) continue;
    CAPTURE(text);
    REQUIRE(ours.has_value() == !theirs.is_discarded());
    if (!ours) continue;
    ++read;
    REQUIRE(moe::copy_json<Json>(ours->root()) == theirs);
  }
  CHECK(read > 1000);
}

TEST_CASE("memory: text and document together stay below 8 times the text") {
  constexpr std::size_t kBytes = 4 << 20;
  std::string keys = "{", objects = "[";
  for (std::size_t i = 0; keys.size() < kBytes; ++i) keys += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
  std::string short_keys = "{";
  for (int i = 1; i < 0x800 * 0x80; ++i) {
    if (i % 0x80 < 0x20 || i % 0x80 == '"' || i % 0x80 == '\\' || i / 0x80 < 0x20 || i / 0x80 >= 0x80) continue;
    if (i / 0x80 == '"' || i / 0x80 == '\\') continue;
    short_keys += std::string(short_keys.size() == 1 ? "\"" : ",\"") + static_cast<char>(i / 0x80) +
                  static_cast<char>(i % 0x80) + "\":0";
  }
  short_keys += '}';
  const auto list_of = [&](const std::string& item) {
    return "[" + repeat(item + ",", kBytes / (item.size() + 1)) + item + "]";
  };
  const std::string words(kBytes, 'w');
  const std::pair<const char*, std::string> texts[] = {
      {"zeros", list_of("0")},
      {"empty lists", list_of("[]")},
      {"empty objects", list_of("{}")},
      {"empty strings", list_of("\"\"")},
      {"strings of a byte", list_of("\"a\"")},
      {"pairs of strings", list_of("[\"a\",\"b\"]")},
      {"one key each", list_of("{\"\":0}")},
      {"nested lists", list_of(nested(62))},
      {"nested objects", list_of(repeat("{\"\":", 62) + "0" + repeat("}", 62))},
      {"nine keys each", list_of(R"({"":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0})")},
      {"many keys", keys + "}"},
      {"many objects of many short keys", list_of(short_keys)},
      {"one string", "\"" + words + "\""},
      {"half a string and zeros", "[\"" + words + "\"," + list_of("0") + "]"},
      {"escapes", "\"" + repeat("\\u00e9", kBytes / 6) + "\""},
      {"a string without end", "\"" + words},
      {"a string with a broken end", "\"" + words + "\xff\""},
      {"zeros without end", "[" + repeat("0,", kBytes / 2)},
      {"many keys, the first twice", keys + ",\"0\":0}"},
      {"digits", std::string(kBytes, '1')},
      {"open brackets", std::string(kBytes, '[')},
      {"spaces", std::string(kBytes, ' ')},
  };
  for (const auto& [key, text] : texts) {
    const auto& name = key;  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(name);
    moe_test::start_allocation_meter();
    { static_cast<void>(JsonDocument::parse(text)); }
    const double factor = 1.0 + static_cast<double>(moe_test::allocation_peak()) / static_cast<double>(text.size());
    std::cout << name << ": " << factor << " times the text" << std::endl;
    CHECK(factor <= 8.0);
  }
}

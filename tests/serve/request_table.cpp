// Fields of requests: types, ranges, neutral values, and the same rules for every table there is.

#include "serve/api/request_table.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "serve/api/tables.hpp"

using namespace moe;
using namespace moe::serve::api;

namespace {

const std::vector<FieldRule> kTable{
    {"count", FieldType::integer, FieldUse::read, 0, 10, 3},
    {"share", FieldType::number, FieldUse::read, 0, 1, 0.5},
    {"flag", FieldType::boolean, FieldUse::read, 0, 0, 1},
    {"word", FieldType::text},
    {"user", FieldType::text, FieldUse::accepted},
    {"magic", FieldType::any, FieldUse::refused, 0, 0, 0, {R"({"type": "text"})", "0", R"("none")"}},
};

// "ok", or the field and the code of the error.
std::string checked(const char* json, bool strict = false) {
  const auto body = read_body(json);
  if (!body) return body.error().code;
  const auto fields = Fields::check(body->root(), kTable, strict);
  return fields ? "ok" : fields.error().param + " " + fields.error().code;
}

}  // namespace

TEST_CASE("types and ranges") {
  for (const char* good : {R"({})", R"({"count": 0})", R"({"count": 10})", R"({"share": 1})", R"({"share": 0.25})",
                           R"({"flag": false, "word": ""})", R"({"count": null, "word": null, "flag": null})"})
    CHECK_MESSAGE(checked(good) == "ok", good);
  for (const char* wrong : {R"({"count": -1})", R"({"count": 11})", R"({"count": 1.0})", R"({"count": "1"})",
                            R"({"count": true})", R"({"count": [1]})", R"({"count": 18446744073709551615})"})
    CHECK_MESSAGE(checked(wrong) == "count invalid_value", wrong);
  CHECK(checked(R"({"share": 1.5})") == "share invalid_value");
  CHECK(checked(R"({"flag": 1})") == "flag invalid_value");
  CHECK(checked(R"({"word": {}})") == "word invalid_value");
}

TEST_CASE("what is not supported passes with a neutral value alone") {
  for (const char* good : {R"({"magic": null})", R"({"magic": {"type":"text"}})", R"({"magic": 0})",
                           R"({"magic": 0.0})", R"({"magic": "none"})", R"({"user": "anybody"})", R"({"user": 5})"})
    CHECK_MESSAGE(checked(good) == "ok", good);
  for (const char* wrong : {R"({"magic": 1})", R"({"magic": {"type":"json"}})", R"({"magic": ""})",
                            R"({"magic": false})", R"({"magic": {"type":"text","x":1}})"})
    CHECK_MESSAGE(checked(wrong) == "magic unsupported_parameter", wrong);
}

TEST_CASE("unknown fields are listed, or refused") {
  const auto body = read_body(R"({"b": 1, "count": 2, "a,\r\nX": {"NaN": []}})");
  REQUIRE(body);
  const auto fields = Fields::check(body->root(), kTable, false);
  REQUIRE(fields);
  CHECK(ignored_header(*fields) == "b, a???X");
  CHECK(checked(R"({"b": 1})", true) == "b unsupported_parameter");
  std::string many = "{";
  for (int i = 0; i < 500; ++i) many += "\"field" + std::to_string(i) + "\": 0,";
  const auto long_body = read_body(many + "\"x\": 0}");
  REQUIRE(long_body);
  CHECK(ignored_header(*Fields::check(long_body->root(), kTable, false)).size() < 1100);
}

TEST_CASE("values, and what they are otherwise") {
  const auto body = read_body(R"({"count": 7, "word": "a", "share": null})");
  REQUIRE(body);
  const auto fields = Fields::check(body->root(), kTable, true);
  REQUIRE(fields);
  CHECK(fields->integer("count") == 7);
  CHECK(fields->number("share") == 0.5);
  CHECK(fields->flag("flag"));
  CHECK(fields->text("word") == "a");
  CHECK(!fields->has("share"));
}

TEST_CASE("bodies that are no JSON object") {
  for (const char* wrong : {"", " ", "[]", "1", "{", R"({"a":1,"a":2})", R"({"a":NaN})", R"({"a":[{"b":-Infinity}]})",
                            "{\"a\":\"\xff\"}", R"({"a":1}x)"})
    CHECK_MESSAGE(checked(wrong) == "invalid_json", wrong);
}

TEST_CASE("the tables name each field once, and neutral values are JSON") {
  for (const auto table : {completions_table(), chat_table(), tokenize_table(), detokenize_table()}) {
    std::set<std::string_view> names;
    for (const FieldRule& rule : table) {
      CHECK_MESSAGE(names.insert(rule.name).second, std::string(rule.name));
      for (const auto neutral : rule.neutral)
        CHECK_MESSAGE(JsonDocument::parse(neutral).has_value(), std::string(neutral));
      CHECK(rule.least <= rule.most);
      const bool has_default = rule.type == FieldType::integer || rule.type == FieldType::number;
      if (has_default && rule.otherwise != 0) CHECK((rule.otherwise >= rule.least && rule.otherwise <= rule.most));
    }
  }
}

TEST_CASE("what fails after it was accepted is not the client's fault") {
  for (const ErrorCode code : {ErrorCode::bad_file, ErrorCode::io, ErrorCode::bad_argument, ErrorCode::non_finite}) {
    const ApiError error = from_running({code, "layer 3: expert 7 has other bytes than its checksum"});
    CHECK(error.status == 500);
    CHECK(error.code == name_of(code));
  }
  CHECK(from_running({ErrorCode::out_of_memory, "no sequence can be opened"}).status == 503);
  CHECK(from_running({ErrorCode::cancelled, "the server is shutting down"}).status == 503);
  CHECK(from_library({ErrorCode::bad_argument, "the prompt has 0 tokens"}).status == 400);
}

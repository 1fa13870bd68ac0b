// The language, construct by construct: small templates and what jinja2 made of them (make_language_cases.py).

#include <nlohmann/json.hpp>

#include "chat/template.hpp"
#include "support.hpp"

namespace {

using namespace moe;
using Json = nlohmann::ordered_json;

std::string kind_name(chat::FaultKind kind) {
  static constexpr const char* kNames[] = {"syntax", "refused", "python", "limit", "unsupported"};
  return kNames[static_cast<int>(kind)];
}

}  // namespace

TEST_CASE("every construct of the language does what jinja2 does") {
  const auto lines = moe_test::read_lines(std::filesystem::path(MOE_SOURCE_DIR) / "tests/data/template_language.jsonl");
  REQUIRE(lines.size() > 100);
  chat::Variables variables;
  const Json header = Json::parse(lines[0]);
  for (const auto& [name, value] : header.at("variables").items())
    variables[name] = *chat::from_json(value, chat::Origin::from_content);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const Json one = Json::parse(lines[i]);
    const auto source = one.at("template").get<std::string>();
    CAPTURE(source);
    const auto chat = chat::ChatTemplate::parse(source);
    const auto rendered = chat ? chat->render(variables, chat::DateTime{2026, 7, 4, 9, 5, 3})
                               : tl::expected<chat::Rendered, chat::Fault>(tl::unexpected(chat.error()));
    if (one.contains("expected")) {
      CHECK_MESSAGE(rendered, rendered.error().message);
      if (rendered) CHECK(rendered->text == one.at("expected").get<std::string>());
    } else {
      CHECK(!rendered);
      if (rendered) continue;
      CHECK(kind_name(rendered.error().kind) == one.at("kind").get<std::string>());
      // What Python's compiler refuses has jinja2's name here.
      if (one.at("kind") != "syntax") CHECK(rendered.error().exception == one.at("exception").get<std::string>());
      CHECK(rendered.error().line > 0);
    }
  }
}

TEST_CASE("a fault names the template, the line and what was found") {
  const auto chat = chat::ChatTemplate::parse("line one\n{% for %}");
  REQUIRE(!chat);
  CHECK(as_error(chat.error(), "nano").code == ErrorCode::bad_file);
  CHECK(as_error(chat.error(), "nano").message.find("chat template nano, line 2") == 0);
  const auto raised = chat::ChatTemplate::parse("a\n\n{{ raise_exception('only user turns') }}")->render({});
  REQUIRE(!raised);
  CHECK(raised.error().kind == chat::FaultKind::refused);
  CHECK(raised.error().message == "only user turns");
  CHECK(raised.error().line == 3);
}

TEST_CASE("what jinja2 knows and we do not is refused by name") {
  for (const char* source : {"{{ 'a'|urlize }}", "{{ [1]|random }}", "{{ lipsum() }}", "{{ 'a'.encode() }}",
                             "{{ (-8) ** 0.5 }}", "{% autoescape true %}{% endautoescape %}", "{{ namespace }}",
                             "{{ [1]|map('string') }}", "{{ strftime_now('%Y') }}"}) {
    CAPTURE(source);
    const auto chat = chat::ChatTemplate::parse(source);
    const auto kind = chat ? chat->render({}).error().kind : chat.error().kind;
    CHECK(kind == chat::FaultKind::unsupported);
  }
}

TEST_CASE("one template renders in several variables and stays as it is") {
  const auto chat = chat::ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for x in xs %}{% set ns.n = ns.n + x %}"
      "{% endfor %}{{ ns.n }}");
  for (int i = 0; i < 3; ++i) {
    chat::Variables variables;
    variables["xs"] = *chat::from_json(Json::array({i, 10}), chat::Origin::from_content);
    CHECK(chat->render(variables)->text == std::to_string(i + 10));
  }
}

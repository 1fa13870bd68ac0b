// Which bytes of the output came from a message: the marks follow the text through every operation.

#include <nlohmann/json.hpp>

#include "chat/template.hpp"
#include "support.hpp"

namespace {

using namespace moe;

// The output with what came from content in [brackets]; `c` is content and `t` is not.
std::string marked(const std::string& source, const std::string& content = "<|x|>",
                   const std::string& other = "<|x|>") {
  chat::Variables variables;
  variables["c"] = chat::Value(chat::Text::make(content, chat::Origin::from_content));
  variables["t"] = chat::Value(chat::Text::make(other));
  const auto chat = chat::ChatTemplate::parse(source);
  REQUIRE_MESSAGE(chat, chat.error().message);
  const auto rendered = chat->render(variables);
  REQUIRE_MESSAGE(rendered, rendered.error().message);
  std::string out = rendered->text;
  for (auto span = rendered->content.rbegin(); span != rendered->content.rend(); ++span) {
    REQUIRE(span->begin < span->end);
    REQUIRE(span->end <= out.size());
    out.insert(span->end, "]");
    out.insert(span->begin, "[");
  }
  return out;
}

}  // namespace

TEST_CASE("text of a message is marked, equal text of the template is not") {
  CHECK(marked("{{ c }}{{ t }}<|x|>") == "[<|x|>]<|x|><|x|>");
  CHECK(marked("a{{ c }}{{ c }}b") == "a[<|x|><|x|>]b");
  CHECK(marked("{{ '' ~ t }}") == "<|x|>");
}

TEST_CASE("marks follow the text through operators and methods") {
  CHECK(marked("{{ '(' ~ c ~ ')' }}") == "([<|x|>])");
  CHECK(marked("{{ '(' + c + ')' }}") == "([<|x|>])");
  CHECK(marked("{{ c * 2 ~ t }}") == "[<|x|><|x|>]<|x|>");
  CHECK(marked("{{ ('<' + c)[1:-1] }}") == "[<|x|]");
  CHECK(marked("{{ ('ab' ~ c)[::-1] }}", "xy") == "[yx]ba");
  CHECK(marked("{{ (' ' ~ c ~ ' ').strip() }}") == "[<|x|>]");
  CHECK(marked("{{ c.split('|') | join('+') }}") == "[<]+[x]+[>]");
  CHECK(marked("{{ t.split('|') | join(c) }}", "+") == "<[+]x[+]>");
  CHECK(marked("{{ t.replace('x', c) }}", "yy") == "<|[yy]|>");
  CHECK(marked("{{ c.replace('x', 'zz') }}") == "[<|]zz[|>]");
  CHECK(marked("{{ c.upper() }}{{ (t ~ c)|title }}", "ab", "cd") == "[AB]Cd[ab]");
  CHECK(marked("{{ '%s-%5s' % (c, c) }}", "ab") == "[ab]-   [ab]");
  CHECK(marked("{{ '{}{:>4}'.format(t, c) }}", "ab", "cd") == "cd  [ab]");
  CHECK(marked("{{ c.center(6, '-') }}", "ab") == "--[ab]--");
  CHECK(marked("{% for x in c %}{{ x }}.{% endfor %}", "ab") == "[a].[b].");
  CHECK(marked("{{ c|first }}{{ c|last }}{{ c|reverse }}", "ab") == "[abba]");
  CHECK(marked("{{ c.partition('|')[2] }}{{ c.removeprefix('<') }}") == "[x|>|x|>]");
  CHECK(marked("{{ (c ~ '\n' ~ t)|indent(2, true) }}", "a", "b") == "  [a]\n  b");
  CHECK(marked("{{ (c ~ ' ' ~ c)|wordwrap(2) }}", "ab") == "[ab]\n[ab]");
  CHECK(marked("{{ c|truncate(4, true, t, 0) }}", "abcdef", "..") == "[ab]..");
}

TEST_CASE("marks follow the text through JSON, repr and escapes") {
  CHECK(marked("{{ {'k': c}|tojson }}") == "{\"k\": \"[<|x|>]\"}");
  CHECK(marked("{{ {c: t}|tojson }}", "a\"b", "z") == "{\"[a\\\"b]\": \"z\"}");
  CHECK(marked("{{ [c, t] }}", "a'b", "z") == "[\"[a'b]\", 'z']");
  CHECK(marked("{{ c|e }}{{ t|e }}", "<a", "<b") == "[&lt;a]&lt;b");
  CHECK(marked("{{ c|urlencode }}", "a b") == "[a%20b]");
}

TEST_CASE("marks follow the text through the template's own structures") {
  CHECK(marked("{% macro m(x) %}({{ x }}){% endmacro %}{{ m(c) }}{{ m(t) }}", "a", "b") == "([a])(b)");
  CHECK(marked("{% set v %}-{{ c }}-{% endset %}{{ v }}", "a") == "-[a]-");
  CHECK(marked("{% filter upper %}x{{ c }}{% endfilter %}", "a") == "X[A]");
  CHECK(marked("{% set ns = namespace(s='') %}{% for i in [1, 2] %}{% set ns.s = ns.s ~ c ~ i %}{% endfor %}{{ ns.s }}",
               "a") == "[a]1[a]2");
  CHECK(marked("{% macro w() %}<{{ caller() }}>{% endmacro %}{% call w() %}{{ c }}{% endcall %}", "a") == "<[a]>");
  CHECK(marked("{% generation %}{{ c }}!{% endgeneration %}", "a") == "[a]!");
  CHECK(marked("{{ {'x': c}.x }}{{ [c][0] }}{{ [c]|map('upper')|join }}", "a") == "[aaA]");
}

TEST_CASE("keys of messages are marked too") {
  const auto json = nlohmann::ordered_json::parse(R"({"<|x|>": {"y": 1}})");
  chat::Variables variables;
  variables["m"] = *chat::from_json(json, chat::Origin::from_content);
  const auto rendered = chat::ChatTemplate::parse("{{ m|tojson }}")->render(variables);
  CHECK(rendered->text == R"({"<|x|>": {"y": 1}})");
  CHECK(rendered->content == std::vector<chat::Span>{{2, 7}, {12, 13}});
}

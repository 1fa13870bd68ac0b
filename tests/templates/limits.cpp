// Templates are untrusted: any template ends soon, in limited memory, with a fault if it exceeds a limit.

#include <ctime>
#include <nlohmann/json.hpp>

#include "chat/template.hpp"
#include "support.hpp"

namespace {

using namespace moe;

std::string repeated(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

chat::Fault fault_of(const std::string& source, const chat::Limits& limits = {}) {
  const auto chat = chat::ChatTemplate::parse(source, limits);
  if (!chat) return chat.error();
  const auto rendered = chat->render({});
  REQUIRE_MESSAGE(!rendered, "rendered: " << source.substr(0, 80));
  return rendered.error();
}

std::vector<std::string> hostile_templates() {
  return {
      // endless work
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
      "{% set x = range(99999)|list %}{% for i in x %}{% if x == x + [] %}{% endif %}{% endfor %}",
      "{% set s = 'a' * 1000000 %}{% for i in range(99999) %}{{ s.find('b')|string|length }}{% endfor %}",
      "{% set s = 'a' * 4000000 %}{% for i in range(999) %}{{ s.count('a' * 2000000 ~ 'b') }}{% endfor %}",
      // size
      "{{ 'ab' * 10 ** 12 }}",
      "{{ [0] * 10 ** 12 }}",
      "{{ 'x'.ljust(10 ** 15) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:>1000000000}'.format('x') }}",
      "{{ '{:.1000000000f}'.format(1.5) }}",
      "{{ 'a\nb'|indent(10 ** 10) }}",
      "{{ {'a': [1]}|tojson(indent=10 ** 10) }}",
      "{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      "{% set ns = namespace(s='ab') %}{% for i in range(64) %}{% set ns.s = ns.s.replace('a', ns.s) %}{% endfor %}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
      "{% set ns = namespace(l='') %}{% for i in range(99999) %}{% set ns.l = [ns.l, 'x' * 9999] %}{% endfor %}",
      "{% for i in range(99999) %}" + repeated("0123456789", 100) + "{% endfor %}",
      // depth, also of what only grows while rendering
      "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
      "{% set ns = namespace(l=[]) %}{% for i in range(5000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(g=[1]) %}{% for i in range(5000) %}{% set ns.g = ns.g|map('string') %}{% endfor %}",
      "{% set ns = namespace(c=0) %}{% for i in range(5000) %}{% set ns.c = cycler(ns.c) %}{% endfor %}",
      "{% set ns = namespace(c=[]) %}{% for i in range(5000) %}{% set ns.c = [ns.c].index %}{% endfor %}",
      "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
      // few bytes, huge to walk
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l == ns.l "
      "+ [] }}",
      "{% set ns = namespace(l=(1,)) %}{% for i in range(99) %}{% set ns.l = (ns.l, ns.l) %}{% endfor %}{{ {ns.l: 1} "
      "}}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson "
      "}}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
      "{% set ns = namespace(a=[1], b=[2]) %}{% for i in range(14) %}{% set ns.a = [ns.a, ns.a] %}"
      "{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a in [ns.b] * 99999 }}",
      // numbers
      "{{ 9223372036854775807 + 1 }}",
      "{{ 2 ** 64 }}",
      "{{ 99999999999999999999 }}",
      // the template's own text
      "{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}",
      "{{ " + repeated("[", 5000) + repeated("]", 5000) + " }}",
      "{{ " + repeated("not ", 5000) + "1 }}",
      "{{ " + repeated("-", 5000) + "1 }}",
      "{{ 1" + repeated(" + 1", 5000) + " }}",
      "{{ x" + repeated(".y", 5000) + " }}",
      "{{ x" + repeated("|upper", 5000) + " }}",
      "{{ 1" + repeated(" if 1 else 1", 5000) + " }}",
      repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000),
      repeated("{% for x in y %}", 5000),
      repeated("{{ 1 }}", 100'000),
      std::string((1 << 20) + 1, 'x'),
  };
}

}  // namespace

#if defined(__SANITIZE_ADDRESS__)
constexpr std::clock_t kMostSeconds = 80;  // its checks of every access
#else
constexpr std::clock_t kMostSeconds = 20;
#endif

TEST_CASE("hostile templates end with a limit") {
  for (const std::string& source : hostile_templates()) {
    CAPTURE(source.substr(0, 120));
    const std::clock_t start = std::clock();  // of this process: a busy machine fails no test
    const chat::Fault fault = fault_of(source);
    CHECK(fault.kind == chat::FaultKind::limit);
    CHECK_MESSAGE(!fault.message.empty(), fault.message);
    CHECK((std::clock() - start) / CLOCKS_PER_SEC < kMostSeconds);
  }
}

TEST_CASE("range has the sandbox's own limit, an error of Python") {
  const chat::Fault fault = fault_of("{{ range(10 ** 9)|list }}");
  CHECK(fault.kind == chat::FaultKind::python);
  CHECK(fault.exception == "OverflowError");
  CHECK(fault_of("{{ range(100001) }}").exception == "OverflowError");
  CHECK(chat::ChatTemplate::parse("{{ range(100000)|length }}")->render({})->text == "100000");
}

TEST_CASE("long chains of objects are destroyed without recursion") {
  const std::string chains[] = {
      "{% set ns = namespace(n=namespace()) %}{% for i in range(50000) %}{% set ns.n = namespace(p=ns.n) %}{% endfor "
      "%}ok",
      "{% set ns = namespace(l=0) %}{% for i in range(50000) %}{% for j in [ns.l] %}{% set ns.l = loop %}{% endfor %}"
      "{% endfor %}ok",
      "{% set ns = namespace(m=0) %}{% macro f(p) %}{% macro g() %}{{ p }}{% endmacro %}{% set ns.m = g %}{% endmacro "
      "%}"
      "{% for i in range(20000) %}{{ f(ns.m) }}{% endfor %}ok",
      "{% set ns = namespace() %}{% set ns.me = ns %}{% macro f() %}{{ f }}{% endmacro %}{% set ns.f = f %}ok",
  };
  for (const std::string& source : chains) {
    CAPTURE(source);
    const auto rendered = chat::ChatTemplate::parse(source)->render({});
    if (!rendered)
      CHECK(rendered.error().kind == chat::FaultKind::limit);
    else
      CHECK(rendered->text == "ok");
  }
}

TEST_CASE("limits are those that were asked for") {
  const auto kind = [](const std::string& source, const chat::Limits& limits) { return fault_of(source, limits).kind; };
  CHECK(kind("{% for i in range(100) %}{% endfor %}", {.steps = 50}) == chat::FaultKind::limit);
  CHECK(kind("{{ 'abc' ~ 'def' }}", {.text_bytes = 5}) == chat::FaultKind::limit);
  CHECK(kind("{{ 'abc' * 100 }}", {.value_bytes = 100}) == chat::FaultKind::limit);
  CHECK(kind("{{ a b }}", {.tokens = 3}) == chat::FaultKind::limit);
  CHECK(kind("{{ [[[[1]]]] }}", {.value_depth = 3}) == chat::FaultKind::limit);
}

TEST_CASE("JSON that is too deep, too large or no text is refused") {
  using Json = nlohmann::ordered_json;
  Json deep = 1;
  for (int i = 0; i < 200; ++i) deep = Json::array({deep});
  CHECK(!chat::from_json(deep, chat::Origin::from_content));
  CHECK(!chat::from_json(Json(18446744073709551615u), chat::Origin::from_content));
  CHECK(!chat::from_json(Json("\xff"), chat::Origin::from_content));
  const auto refused = [](const std::string& text) { return !chat::read_json(text, chat::Origin::from_content); };
  CHECK(!refused(R"({"a": [1, -2, 2.5, null, true, "x"], "b": {"c": "\u00e9"}})"));
  for (const char* text : {"", "[1", "{\"a\": 1, \"a\": 2}", "18446744073709551615", "99999999999999999999999", "nan",
                           "[1,]", "\"\xff\"", "[1] 2"}) {
    CAPTURE(text);
    CHECK(refused(text));
  }
  CHECK(refused(repeated("[", 200) + repeated("]", 200)));
}

TEST_CASE("JSON text and a JSON tree give the same values") {
  const std::string text = R"({"z": [1, -2, 2.5, null, true, "x"], "a": {"c": "é\n", "n": 9223372036854775807}})";
  chat::Variables variables;
  variables["a"] = *chat::read_json(text, chat::Origin::from_content);
  variables["b"] = *chat::from_json(nlohmann::ordered_json::parse(text), chat::Origin::from_content);
  const auto rendered =
      chat::ChatTemplate::parse("{{ a == b }} {{ a|tojson == b|tojson }} {{ a|list }}")->render(variables);
  CHECK(rendered->text == "True True ['z', 'a']");
}

TEST_CASE("many keys, whatever they are, are found fast") {
  std::string source = "{% set d = {";
  for (int i = 0; i < 20'000; ++i) source += "'k" + std::to_string(i) + "': " + std::to_string(i) + ", ";
  source +=
      "1: 'int', 2.5: 'real', none: 'none', (1, 2): 'pair'} %}{{ d.k19999 }} {{ d[true] }} {{ d[2.5] }} {{ d[none] }} ";
  source += "{{ d[(1.0, 2)] }} {{ d|length }} {{ 'k20000' in d }}";
  const auto rendered = chat::ChatTemplate::parse(source)->render({});
  REQUIRE(rendered);
  CHECK(rendered->text == "19999 int real none pair 20004 False");
}

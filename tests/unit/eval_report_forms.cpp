// Numbers and foreign texts as a report shows them; pictures as a page takes them.

#include "eval/report/forms.hpp"

#include "eval/report/svg.hpp"
#include "support.hpp"

namespace eval_report_forms_test {

using namespace moe::eval;

TEST_CASE("numbers") {
  CHECK(percent_form(0.8790955) == "87.91");
  CHECK(percent_form(-0.5) == "\u221250.00");
  CHECK(points_form(0.1038) == "+10.38");
  CHECK(points_form(-0.0757) == "\u22127.57");
  CHECK(count_form(0) == "0");
  CHECK(count_form(999) == "999");
  CHECK(count_form(14042) == "14,042");
  CHECK(count_form(-1234567) == "\u22121,234,567");
  CHECK(significant_form(0) == "0");
  CHECK(significant_form(0.020187686) == "0.02019");
  CHECK(significant_form(66.3333) == "66.33");
  CHECK(significant_form(18163.9) == "18,164");
  CHECK(significant_form(1234567) == "1,234,567");
  CHECK(p_form(0.001) == "0.0010");
  CHECK(p_form(6.4e-25) == "6e\u221225");
  CHECK(p_form(0) == "0.0000");
  for (const double x : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -2.5})
    CHECK(std::strtod(exact_form(x).c_str(), nullptr) == x);
}

TEST_CASE("foreign texts are words in every form, never markup") {
  const std::string evil = "<script>alert('1')</script> & \"x\" \u202e \x1b[2J\n|`*_#[a](b)~!$\\";
  const std::string html = html_escaped(evil);
  for (const char* no : {"<", ">", "\"", "'", "\u202e", "\x1b", "\n"}) CHECK(html.find(no) == std::string::npos);
  CHECK(html.find("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot; \\u202e \\x1b[2J") == 0);
  const std::string markdown = markdown_escaped(evil);
  CHECK(markdown.find('<') == std::string::npos);
  CHECK(markdown.find('\n') == std::string::npos);
  for (std::size_t i = 0; i < markdown.size(); ++i)
    if (std::string("|`*_#[]~!$").find(markdown[i]) != std::string::npos) CHECK(markdown[i - 1] == '\\');
  CHECK(csv_escaped("plain") == "plain");
  CHECK(csv_escaped("a,\"b\"") == "\"a,\"\"b\"\"\"");
  CHECK(csv_escaped("=HYPERLINK(\"x\")") == "\"'=HYPERLINK(\"\"x\"\")\"");
  CHECK(csv_escaped("-1+2") == "'-1+2");
  CHECK(csv_escaped("a\r\nb") == "a\\x0d\\x0ab");
}

namespace {

std::string drawing(const std::string& inside) {
  return "<?xml version=\"1.0\"?>\n<svg width=\"10\" height=\"10\" viewBox=\"0 0 10 10\" xmlns=\"x\" xmlns:xlink=\"y\">"
         "<title>t</title><desc>d</desc><g id=\"c\"><rect x=\"0\"/><defs><path id='p' onclick='x'/></defs>" +
         inside + "</g></svg>";
}

}  // namespace

TEST_CASE("of a picture shapes and words are left, in the page's colours") {
  const std::vector<std::string> labels = {"<b>&\u202e"};
  const auto got = page_picture(
      drawing("<g fill=\"none\" stroke=\"currentColor\"></g><g stroke='black'><path stroke = 'rgb(  3,   3,   3)' "
              "d='M1,2\n\tL3,4'/></g>"
              "<use xlink:href='#gpPt6' transform='translate(1.5,2) scale(3)' color='rgb(3,3,3)'/>"
              "<g transform=\"translate(1,2)\" fill=\"black\" font-family=\"evil\"><text>a @0@ b</text></g>"),
      "a \"title\"", labels);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  CHECK(*got ==
        "<svg viewBox=\"0 0 10 10\" role=\"img\" aria-label=\"a &quot;title&quot;\"><g><g stroke=\"currentColor\">"
        "<path stroke=\"var(--c3)\" d=\"M1,2 L3,4\"/></g><circle r=\"1\" fill=\"var(--c3)\" stroke=\"none\" "
        "transform=\"translate(1.5,2) scale(3)\"/><g transform=\"translate(1,2)\" fill=\"currentColor\">"
        "<text>a &lt;b&gt;&amp;\\u202e b</text></g></g></svg>");
}

TEST_CASE("a picture with anything else is refused") {
  for (const char* inside : {
           "<script>alert(1)</script>",
           "<a href='x'><text>t</text></a>",
           "<image xlink:href='http://x/y.png'/>",
           "<foreignObject/>",
           "<style>*{}</style>",
           "<animate/>",
           "<path d='M1,2' onload='x()'/>",
           "<path d='M1,2' style='x'/>",
           "<path d='url(x)'/>",
           "<path fill='url(#x)'/>",
           "<path fill='rgb(1,2,3)'/>",
           "<path fill='rgb(99,99,99)'/>",
           "<use xlink:href='http://x'/>",
           "<use xlink:href='#gpPt1'/>",
           "<text>&lt;script&gt;</text>",
           "<text>@1@</text>",
           "<text>@</text>",
           "<text>@0</text>",
           "<text>\xc3\xa9</text>",
           "words",
           "<!-- comment --><path/>",
           "<path d=M1/>",
           "<path d='M1/>",
           "<path d",
           "</path>",
           "<g>",
           "</g></svg><svg viewBox='0 0 1 1'><g>",
       }) {
    CAPTURE(inside);
    CHECK_FALSE(page_picture(drawing(inside), "t", std::vector<std::string>{"label"}).has_value());
  }
  for (const char* svg : {"", "gnuplot says no", "<svg/>", "<svg></svg>", "<g></g>", "<svg viewBox='evil()'></svg>"})
    CHECK_FALSE(page_picture(svg, "t", {}).has_value());
  const std::string whole = drawing("<path d='M1,2'/>");
  for (std::size_t size = 0; size < whole.size(); ++size)
    CHECK_FALSE(page_picture(whole.substr(0, size), "t", {}).has_value());
}

}  // namespace eval_report_forms_test

// Foreign text on its way out: terminals, errors, file names, JSON.

#include "support/show.hpp"

#include <random>
#include <set>

#include "support.hpp"
#include "support/json_text.hpp"
#include "support/utf8.hpp"

namespace show_test {

using moe::display_width;
using moe::file_name_of;
using moe::in_quotes;
using moe::printable;
using moe::shortened;

namespace {

// Texts of every nasty kind, and random bytes.
std::vector<std::string> texts() {
  std::vector<std::string> out = {"",
                                  ".",
                                  "..",
                                  "...",
                                  "/",
                                  "../../x",
                                  "a/b",
                                  "a\\b",
                                  "c:d",
                                  "x?*\"<>|",
                                  "end.",
                                  "end ",
                                  " begin",
                                  "-rf",
                                  "a\nb",
                                  "a\rb",
                                  "\x1b[2J",
                                  "\x07",
                                  "\x7f",
                                  "\xC2\x9B",
                                  "\xE2\x80\xAE"
                                  "abc",
                                  "\xff",
                                  "\xC3",
                                  "\xED\xA0\x80",
                                  "\xC0\x8A",
                                  "\xF4\x90\x80\x80"};
  out.push_back(std::string("a\0b", 3));
  out.push_back(std::string(300, 'l'));
  out.push_back(std::string(5000, '/'));
  std::string wide;
  for (int i = 0; i < 200; ++i) wide += "\xE4\xB8\xAD";
  out.push_back(wide);
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string text(random() % 400, ' ');
    for (char& c : text) c = static_cast<char>(random());
    out.push_back(text);
  }
  return out;
}

bool is_one_harmless_line(const std::string& text) {
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  return moe::is_valid_utf8(text) && text.find("\xC2\x9B") == std::string::npos;
}

}  // namespace

TEST_CASE("text from a file cannot move the cursor, break the line or turn it round") {
  CHECK(printable("plain \xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80") == "plain \xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80");
  CHECK(printable("a\nb\x1b[2J\x7f\t") == "a\\x0ab\\x1b[2J\\x7f\\x09");
  CHECK(printable("\xC2\x9B") == "\\u009b");  // CSI as one character
  CHECK(printable("\xE2\x80\xAE"
                  "txt.exe") == "\\u202etxt.exe");  // right-to-left override
  CHECK(printable("\xE2\x81\xA6\xE2\x80\x8F") == "\\u2066\\u200f");
  CHECK(printable("\xE2\x80\xA8\xE2\x80\xA9\xC2\x85") == "\\u2028\\u2029\\u0085");  // line ends beyond ASCII
  CHECK(printable("\xF3\xA0\x81\x81") == "\\U000e0041");                            // an invisible tag
  CHECK(printable("\xff\xC3") == "\\xff\\xc3");                                     // no UTF-8
  CHECK(printable("\xED\xA0\x80") == "\\xed\\xa0\\x80");                            // a surrogate
  CHECK(printable("\xC0\x8A") == "\\xc0\\x8a");                                     // an overlong line feed
  CHECK(printable(std::string_view("\0x", 2)) == "\\x00x");
  // A family is one picture because of what joins it, and Persian needs what keeps letters apart.
  const std::string family = "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7",
                    persian = "\xD9\x85\xDB\x8C\xE2\x80\x8C\xD8\xB4";
  CHECK(printable(family) == family);
  CHECK(printable(persian) == persian);
  CHECK(moe::printable_lines("a\n\tb\x1b[2J\n") == "a\n\tb\\x1b[2J\n");
  for (const std::string& text : texts()) CHECK(is_one_harmless_line(printable(text)));
}

TEST_CASE("columns of a terminal") {
  CHECK(display_width("abc") == 3);
  CHECK(display_width("\xE4\xB8\xAD\xE6\x96\x87") == 4);  // two wide characters
  CHECK(display_width("e\xCC\x81") == 1);                 // an accent takes no room
  CHECK(display_width("") == 0);
}

TEST_CASE("a long name keeps both of its ends") {
  CHECK(shortened("short", 10) == "short");
  CHECK(shortened("0123456789", 10) == "0123456789");
  const std::string cut = shortened("a-very-long-model-name[top_k=8]", 20);
  CHECK(display_width(cut) == 20);
  CHECK(cut.substr(0, 6) == "a-very");
  CHECK(cut.find("...") != std::string::npos);
  CHECK(cut.substr(cut.size() - 4) == "k=8]");
  for (const std::string& text : texts())
    for (const std::size_t columns : {4u, 5u, 17u, 60u}) {
      const std::string shown = shortened(text, columns);
      CAPTURE(shown);
      CHECK(is_one_harmless_line(shown));
      CHECK(display_width(shown) <= columns);
    }
  const std::string megabytes(5u << 20, 'x');
  CHECK(shortened(megabytes + "end", 20).substr(17) == "end");
}

TEST_CASE("errors quote what they found") {
  CHECK(in_quotes("plain") == "'plain'");
  CHECK(in_quotes("it's\n") == "'it\\x27s\\x0a'");
  CHECK(in_quotes("\xff") == "'\\xff'");
  CHECK(in_quotes(std::string(500, 'x')) == "'" + std::string(80, 'x') + "...'");
  CHECK(in_quotes(std::string(80, 'x')) == "'" + std::string(80, 'x') + "'");
  for (const std::string& text : texts()) {
    CHECK(is_one_harmless_line(in_quotes(text)));
    CHECK(display_width(in_quotes(text)) <= 85);
  }
}

TEST_CASE("any text gives a legal file name of its own, always the same") {
  // Names that are fit stay as they are.
  for (const char* name :
       {"mmlu_stem", "m[top_k=1]", "org__name", "\xE4\xB8\xAD\xE6\x96\x87", "a b", ".hidden", "v1.5-x"})
    CHECK(file_name_of(name) == name);
  CHECK(file_name_of("Business/Economics").starts_with("Business_Economics-"));
  CHECK(file_name_of("a/b") != file_name_of("a\\b"));
  CHECK(file_name_of("a/b") == file_name_of("a/b"));
  std::set<std::string> all, different;
  for (const std::string& text : texts()) {
    const std::string name = file_name_of(text);
    CAPTURE(name);
    CHECK(name.find_first_of("/\\:*?\"<>|") == std::string::npos);
    CHECK(is_one_harmless_line(name));
    CHECK(!name.empty());
    CHECK(name != ".");
    CHECK(name != "..");
    CHECK(name.size() <= 160);
    all.insert(name), different.insert(text);
  }
  CHECK(all.size() == different.size());
}

TEST_CASE("what is no UTF-8 becomes JSON all the same") {
  nlohmann::ordered_json object;
  object["m\xE9"] = {{"text", "\x84 and \xE2\x80"}};
  CHECK(moe::json_text(object) == "{\"m\xEF\xBF\xBD\":{\"text\":\"\xEF\xBF\xBD and \xEF\xBF\xBD\"}}");
  CHECK(moe::json_text(nlohmann::json{{"a", 1}}, 2) == "{\n  \"a\": 1\n}");
}

}  // namespace show_test

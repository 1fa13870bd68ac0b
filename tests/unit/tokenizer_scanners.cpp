// The hand-written scanners against the patterns that they implement, run by PCRE2.

#include <random>

#include "tokenizer/finder.hpp"
#include "tokenizer/pre_tokenizer.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_scanners_test {

using namespace moe_test;
using namespace moe::tokenizer;

namespace {

const char* const kPatterns[] = {
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"(\s+$)",
    R"(\p{N}{1,3})",
    R"(\p{N}+)",
    R"(\p{N})",
    "[\r\n]",
    R"(\s?\p{L}+)",
    R"(\s?\p{P}+)",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
};

struct ClassPattern {
  const char* pattern;
  SetRun run;
};
constexpr std::uint32_t kMany = ~std::uint32_t{0};
const ClassPattern kClasses[] = {
    {R"(\p{L}+)", {kLetter, 1, kMany, false}},
    {R"(\p{N}+)", {kNumber, 1, kMany, false}},
    {R"(\p{M}+)", {kMark, 1, kMany, false}},
    {R"(\p{P}+)", {kPunctuation, 1, kMany, false}},
    {R"(\p{S}+)", {kSymbol, 1, kMany, false}},
    {R"(\s+)", {kSpace, 1, kMany, false}},
    {R"([\p{P}\$\+<=>\^~\|]+)", {kDefaultPunctuation, 1, kMany, false}},
    {R"([0-9][0-9][0-9])", {kAsciiDigit, 3, 3, false}},
    {"\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", {kDeepseekPunctuation, 1, kMany, true}},
};

// Characters that the patterns treat differently, from one byte to four.
const char32_t kAlphabet[] = {
    'A',    'Z',     0x400,   0x430,  0x1c5,  0x2b0,  0xaa,   0x3007, 0x2e80, '/',    ' ',    ' ',      ' ',
    '\t',   '\n',    '\n',    '\r',   0xa0,   0x3000, 0x2028, 0x85,   0x180e, 'a',    'S',    's',      'T',
    'r',    'e',     'V',     'm',    'l',    'L',    'd',    '\'',   '\'',   0x17f,  0xe9,   0x4f60,   0x597d,
    0x3042, 0x30fb,  0x30fc,  0xac00, 0xe01,  0x0301, 0x0e34, '0',    '7',    '9',    0xbd,   0xb2,     0x661,
    0x2167, '!',     '_',     '-',    '$',    '+',    '<',    '|',    '^',    '`',    0x2019, 0x3001,   0xff01,
    0x20ac, 0x1f680, 0x1f3fd, 0x200d, 0x200b, 0x0,    0x1,    0x7f,   0xfeff, 0xe000, 0x378,  0x10ffff, 0x1d400};

std::string random_text(std::mt19937& random, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) moe::append_utf8(text, kAlphabet[random() % std::size(kAlphabet)]);
  return text;
}

std::vector<std::string> pieces_of(std::unique_ptr<Finder> finder, std::string_view text) {
  std::vector<Split> splits(1);
  splits[0].finder = std::move(finder);
  const PreTokenizer pre(std::move(splits));
  const auto states = pre.make_states();
  std::vector<std::string> pieces;
  const auto done = pre.run(text, true, states, [&](std::string_view piece) -> moe::Result<void> {
    pieces.emplace_back(piece);
    return {};
  });
  if (!done) FAIL(done.error().message);
  return pieces;
}

std::unique_ptr<Finder> pattern(const char* source) {
  auto made = make_pattern(source);
  if (!made) FAIL(made.error().message);
  return std::move(*made);
}

}  // namespace

TEST_CASE("a known pattern gets a scanner that gives the pattern's pieces") {
  std::mt19937 random(7);
  for (const char* source : kPatterns) {
    CAPTURE(std::string(source));
    REQUIRE(make_known(source) != nullptr);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = random_text(random, 1 + random() % 12);
      CAPTURE(text);
      REQUIRE(pieces_of(make_known(source), text) == pieces_of(pattern(source), text));
    }
    const std::string longer = random_text(random, 5000);
    REQUIRE(pieces_of(make_known(source), longer) == pieces_of(pattern(source), longer));
  }
}

TEST_CASE("Kimi K2's pattern, whose sets without Han characters PCRE2 spells otherwise") {
  const std::string upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])",
                    lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]])";
  const auto whole = [](const std::string& u, const std::string& l) {
    const std::string behind = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?", front = R"([^\r\n\p{L}\p{N}]?)";
    return R"([\p{Han}]+|)" + front + u + "*" + l + "+" + behind + "|" + front + u + "+" + l + "*" + behind +
           R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  };
  REQUIRE(make_known(whole(upper, lower)) != nullptr);
  const std::string same =
      whole(R"((?:(?!\p{Han})[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]))", R"((?:(?!\p{Han})[\p{Ll}\p{Lm}\p{Lo}\p{M}]))");
  std::mt19937 random(9);
  for (int i = 0; i < 4000; ++i) {
    const std::string text = random_text(random, 1 + random() % 12);
    CAPTURE(text);
    REQUIRE(pieces_of(make_known(whole(upper, lower)), text) == pieces_of(pattern(same.c_str()), text));
  }
}

TEST_CASE("character classes are those of PCRE2 on random texts") {
  std::mt19937 random(8);
  for (const ClassPattern& known : kClasses) {  // clang 14 lets no structured binding into CAPTURE
    CAPTURE(std::string(known.pattern));
    for (int i = 0; i < 500; ++i) {
      const std::string text = random_text(random, 1 + random() % 20);
      CAPTURE(text);
      REQUIRE(pieces_of(make_set_run(known.run), text) == pieces_of(pattern(known.pattern), text));
    }
  }
}

TEST_CASE("every code point has the class PCRE2 gives it, or is too new for it") {
  struct Property {
    const char* pattern;
    unsigned bit;
  };
  const auto unassigned = pattern(R"(\p{Cn})");
  const auto unassigned_state = unassigned->make_state();
  for (const Property& property : {Property{R"(\p{L})", kLetter},
                                   {R"(\p{N})", kNumber},
                                   {R"(\p{M})", kMark},
                                   {R"(\p{P})", kPunctuation},
                                   {R"(\p{S})", kSymbol},
                                   {R"([\p{Lu}\p{Lt}])", kUpper},
                                   {R"(\p{Ll})", kLower},
                                   {R"(\p{Han})", kHan},
                                   {R"(\s)", kSpace}}) {
    CAPTURE(property.pattern);
    const auto finder = pattern(property.pattern);
    const auto state = finder->make_state();
    int wrong = 0;
    for (char32_t c = 0; c <= 0x10ffff; ++c) {
      if (c >= 0xd800 && c <= 0xdfff) continue;
      std::string text;
      moe::append_utf8(text, c);
      Match match;
      moe::Error error;
      const bool expected = finder->find(text, 0, state.get(), match, error) == Found::yes;
      if (expected == ((char_classes()[c] & property.bit) != 0)) continue;
      if (unassigned->find(text, 0, unassigned_state.get(), match, error) != Found::yes) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("what becomes of a match: the five behaviors") {
  const auto split = [](Behavior behavior, bool invert = false) {
    std::vector<Split> splits(1);
    splits[0].finder = make_literal("-");
    splits[0].behavior = behavior;
    splits[0].invert = invert;
    const PreTokenizer pre(std::move(splits));
    std::string joined;
    const auto done =
        pre.run("the-final--countdown", true, pre.make_states(), [&](std::string_view piece) -> moe::Result<void> {
          joined.append(joined.empty() ? "" : " ").append(piece);
          return {};
        });
    CHECK(done.has_value());
    return joined;
  };
  CHECK(split(Behavior::isolated) == "the - final - - countdown");
  CHECK(split(Behavior::removed) == "the final countdown");
  CHECK(split(Behavior::merged_with_previous) == "the- final- - countdown");
  CHECK(split(Behavior::merged_with_next) == "the -final - -countdown");
  CHECK(split(Behavior::contiguous) == "the - final -- countdown");
  CHECK(split(Behavior::removed, true) == "- - -");
}

TEST_CASE("a pattern that matches nothing cuts between characters, once each") {
  CHECK(pieces_of(pattern("x*"), "ab\u4f60") == std::vector<std::string>{"a", "b", "\u4f60"});
  CHECK(pieces_of(pattern("x*"), "axxb") == std::vector<std::string>{"a", "xx", "b"});
}

TEST_CASE("a script's name means the script alone, as Oniguruma reads it") {
  // U+30FB and U+3001 are used with Han and Katakana, and belong to neither.
  CHECK(pieces_of(pattern(R"(\p{Han}+)"), "\u4f60\u30fb\u597d\u3001") ==
        std::vector<std::string>{"\u4f60", "\u30fb", "\u597d", "\u3001"});
  CHECK(pieces_of(pattern(R"([\p{Katakana}\p{Hiragana}]+)"), "\u30a2\u3042\u30fb\u30fc") ==
        std::vector<std::string>{"\u30a2\u3042", "\u30fb\u30fc"});
  CHECK(pieces_of(pattern(R"(\P{Greek}+)"), "a\u03b1") == std::vector<std::string>{"a", "\u03b1"});
  CHECK(pieces_of(pattern(R"(\p{^Han}+)"), "\u30fb\u4f60") == std::vector<std::string>{"\u30fb", "\u4f60"});
  CHECK(pieces_of(pattern(R"(\p{Lu}+)"), "AB\u0410c") == std::vector<std::string>{"AB\u0410", "c"});
}

TEST_CASE("a class in a class adds its members, and {1,n}+ repeats without end, as Oniguruma reads them") {
  CHECK(pieces_of(pattern("[x[ab]]+"), "xa[b]c") == std::vector<std::string>{"xa", "[", "b", "]c"});
  CHECK(pieces_of(pattern("[^x[ab]]+"), "xa[]cb") == std::vector<std::string>{"xa", "[]c", "b"});
  CHECK(pieces_of(pattern("[[ab]c]+"), "abc[d") == std::vector<std::string>{"abc", "[d"});
  CHECK(pieces_of(pattern("a{1,3}+"), "aaaaaaab") == std::vector<std::string>{"aaaaaaa", "b"});
  CHECK(pieces_of(pattern("[0-9]{1,3}+5"), "12345x") == std::vector<std::string>{"12345", "x"});
}

TEST_CASE("patterns that cannot be trusted are refused or stopped") {
  const auto code = [](const char* source) {
    const auto made = make_pattern(source);
    return made ? moe::ErrorCode::internal : made.error().code;
  };
  CHECK(code("(a") == moe::ErrorCode::bad_file);
  CHECK(code("[a") == moe::ErrorCode::bad_file);
  CHECK(code("a\\") == moe::ErrorCode::bad_file);
  CHECK(code("\\C") == moe::ErrorCode::bad_file);
  CHECK(code(R"([\p{L}&&[^a]])") == moe::ErrorCode::unsupported);
  for (const char* inner : {"[a[^bc]]", "[a[b[c]]]", "[a-[bc]]", "[a[-c]]", "[a[b-]]", "[[a]-c]", R"([a[\s]])", "[a[]]",
                            "[a[b&&c]]", "[a[[:alpha:]]]"})
    CHECK(code(inner) == moe::ErrorCode::unsupported);
  for (const char* other :
       {R"(\h)", R"(\w+)", R"([\w ])", R"(\W)", R"([^\W])", R"(a\b)", R"(\Ba)", R"(\v)", R"([\v])", "a{,3}"})
    CHECK_MESSAGE(code(other) == moe::ErrorCode::unsupported, other);
  CHECK(make_pattern(R"([\b]|\\w|\{,3})").has_value());  // a backspace, and texts
  CHECK(code("(*LIMIT_MATCH=1)a") == moe::ErrorCode::unsupported);
  for (const char* repeated : {"a{2,3}+", "a{1,}+", "a{2}+", "a{1,3}++", "a{1,3}+?", "a{1,3}+{2}"})
    CHECK(code(repeated) == moe::ErrorCode::unsupported);
  CHECK(code(std::string(100000, 'a').c_str()) == moe::ErrorCode::bad_file);
  CHECK(code((std::string(5000, '(') + std::string(5000, ')')).c_str()) == moe::ErrorCode::bad_file);

  const auto slow = pattern("(a+)+$");
  const auto state = slow->make_state();
  Match match;
  moe::Error error;
  CHECK(slow->find(std::string(60, 'a') + "b", 0, state.get(), match, error) == Found::failed);
  CHECK(error.code == moe::ErrorCode::bad_argument);
  CHECK(error.message.find("limit") != std::string::npos);
}

}  // namespace tokenizer_scanners_test

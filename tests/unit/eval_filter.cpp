// Filters of generation tasks: Python's re on PCRE2, the harness's filter functions and its exact_match.

#include "eval/score/filter.hpp"

#include <string>
#include <vector>

#include "eval/score/regex.hpp"
#include "eval/score/text.hpp"
#include "moe/eval/evaluate.hpp"
#include "support.hpp"

namespace eval_filter_test {

using namespace moe::eval;

namespace {

struct RegexCase {
  const char *pattern, *text;
  std::vector<std::string> found;  // re.findall, of several groups the first that is not empty
  const char* rest;                // re.sub(pattern, "", text)
};

// Printed by CPython 3.11; patterns of the harness's tasks, empty matches, groups, Unicode classes, line ends.
const std::vector<RegexCase> kRegexCases = {
    {"#### (\\-?[0-9\\.\\,]+)", " So we get it.\n#### 18", {"18"}, " So we get it.\n"},
    {"#### (\\-?[0-9\\.\\,]+)", " It is 160, I think.\n#### 160.", {"160."}, " It is 160, I think.\n"},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", " So we get it.\n#### 18", {"18"}, " So we get it.\n#### "},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", " It is 160, I think.\n#### 160.", {"160,", "160."}, " It is  I think.\n#### "},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", " 6", {"6"}, " "},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "$1,000.50 or -3", {"$1,000.50", "-3"}, " or "},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "x1 yx x\303\251\344\270\255", {"1"}, "x yx x\303\251\344\270\255"},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "\331\241\331\242 12\n", {"12"}, "\331\241\331\242 \n"},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "12", {"12"}, ""},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "1.\n2.", {"1.", "2."}, "\n"},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "aab bb 11 223", {"11", "223"}, "aab bb  "},
    {"^(.*?)(?=\\n|$)", "", {""}, ""},
    {"^(.*?)(?=\\n|$)", "\n", {""}, "\n"},
    {"^(.*?)(?=\\n|$)", "a", {"a"}, ""},
    {"^(.*?)(?=\\n|$)", "baac", {"baac"}, ""},
    {"^(.*?)(?=\\n|$)", " So we get it.\n#### 18", {" So we get it."}, "\n#### 18"},
    {"^(.*?)(?=\\n|$)", " It is 160, I think.\n#### 160.", {" It is 160, I think."}, "\n#### 160."},
    {"^(.*?)(?=\\n|$)", " 6", {" 6"}, ""},
    {"^(.*?)(?=\\n|$)", "$1,000.50 or -3", {"$1,000.50 or -3"}, ""},
    {"^(.*?)(?=\\n|$)", "ab  \n", {"ab  "}, "\n"},
    {"^(.*?)(?=\\n|$)", "ab\ncd\n", {"ab"}, "\ncd\n"},
    {"^(.*?)(?=\\n|$)", "The Answer is B, the answer is c", {"The Answer is B, the answer is c"}, ""},
    {"^(.*?)(?=\\n|$)", "x1 yx x\303\251\344\270\255", {"x1 yx x\303\251\344\270\255"}, ""},
    {"^(.*?)(?=\\n|$)", "\331\241\331\242 12\n", {"\331\241\331\242 12"}, "\n"},
    {"^(.*?)(?=\\n|$)", "12", {"12"}, ""},
    {"^(.*?)(?=\\n|$)", "  lead\n\n tail ", {"  lead"}, "\n\n tail "},
    {"^(.*?)(?=\\n|$)", "1.\n2.", {"1."}, "\n2."},
    {"^(.*?)(?=\\n|$)", "aab bb 11 223", {"aab bb 11 223"}, ""},
    {"^(.*?)\\s*$", "", {""}, ""},
    {"^(.*?)\\s*$", "\n", {""}, ""},
    {"^(.*?)\\s*$", "a", {"a"}, ""},
    {"^(.*?)\\s*$", "baac", {"baac"}, ""},
    {"^(.*?)\\s*$", " 6", {" 6"}, ""},
    {"^(.*?)\\s*$", "$1,000.50 or -3", {"$1,000.50 or -3"}, ""},
    {"^(.*?)\\s*$", "ab  \n", {"ab"}, ""},
    {"^(.*?)\\s*$", "The Answer is B, the answer is c", {"The Answer is B, the answer is c"}, ""},
    {"^(.*?)\\s*$", "x1 yx x\303\251\344\270\255", {"x1 yx x\303\251\344\270\255"}, ""},
    {"^(.*?)\\s*$", "\331\241\331\242 12\n", {"\331\241\331\242 12"}, ""},
    {"^(.*?)\\s*$", "12", {"12"}, ""},
    {"^(.*?)\\s*$", "aab bb 11 223", {"aab bb 11 223"}, ""},
    {"a*", "", {""}, ""},
    {"a*", "\n", {"", ""}, "\n"},
    {"a*", "a", {"a", ""}, ""},
    {"a*", "baac", {"", "aa", "", ""}, "bc"},
    {"a*",
     " So we get it.\n#### 18",
     {"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""},
     " So we get it.\n#### 18"},
    {"a*",
     " It is 160, I think.\n#### 160.",
     {"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", "",
      "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""},
     " It is 160, I think.\n#### 160."},
    {"a*", " 6", {"", "", ""}, " 6"},
    {"a*", "$1,000.50 or -3", {"", "", "", "", "", "", "", "", "", "", "", "", "", "", "", ""}, "$1,000.50 or -3"},
    {"a*", "ab  \n", {"a", "", "", "", "", ""}, "b  \n"},
    {"a*", "ab\ncd\n", {"a", "", "", "", "", "", ""}, "b\ncd\n"},
    {"a*",
     "The Answer is B, the answer is c",
     {"", "", "", "", "",  "", "", "", "", "", "", "", "", "", "", "", "",
      "", "", "", "", "a", "", "", "", "", "", "", "", "", "", "", ""},
     "The Answer is B, the nswer is c"},
    {"a*", "x1 yx x\303\251\344\270\255", {"", "", "", "", "", "", "", "", "", ""}, "x1 yx x\303\251\344\270\255"},
    {"a*", "\331\241\331\242 12\n", {"", "", "", "", "", "", ""}, "\331\241\331\242 12\n"},
    {"a*", "12", {"", "", ""}, "12"},
    {"a*", "  lead\n\n tail ", {"", "", "", "", "a", "", "", "", "", "", "a", "", "", "", ""}, "  led\n\n til "},
    {"a*", "1.\n2.", {"", "", "", "", "", ""}, "1.\n2."},
    {"a*", "aab bb 11 223", {"aa", "", "", "", "", "", "", "", "", "", "", "", ""}, "b bb 11 223"},
    {"(a)|(b)", "a", {"a"}, ""},
    {"(a)|(b)", "baac", {"b", "a", "a"}, "c"},
    {"(a)|(b)", "ab  \n", {"a", "b"}, "  \n"},
    {"(a)|(b)", "ab\ncd\n", {"a", "b"}, "\ncd\n"},
    {"(a)|(b)", "The Answer is B, the answer is c", {"a"}, "The Answer is B, the nswer is c"},
    {"(a)|(b)", "  lead\n\n tail ", {"a", "a"}, "  led\n\n til "},
    {"(a)|(b)", "aab bb 11 223", {"a", "a", "b", "b", "b"}, "  11 223"},
    {"\\bx\\w*", "x1 yx x\303\251\344\270\255", {"x1", "x\303\251\344\270\255"}, " yx "},
    {"(?i)answer is (\\w)", "The Answer is B, the answer is c", {"B", "c"}, "The , the "},
    {"(?s).*#### ", " So we get it.\n#### 18", {" So we get it.\n#### "}, "18"},
    {"(?s).*#### ", " It is 160, I think.\n#### 160.", {" It is 160, I think.\n#### "}, "160."},
    {"\\.$", " It is 160, I think.\n#### 160.", {"."}, " It is 160, I think.\n#### 160"},
    {"\\.$", "1.\n2.", {"."}, "1.\n2"},
    {"[^\\x00-\\x7f]", "x1 yx x\303\251\344\270\255", {"\303\251", "\344\270\255"}, "x1 yx x"},
    {"[^\\x00-\\x7f]", "\331\241\331\242 12\n", {"\331\241", "\331\242"}, " 12\n"},
    {"$", "", {""}, ""},
    {"$", "\n", {"", ""}, "\n"},
    {"$", "a", {""}, "a"},
    {"$", "baac", {""}, "baac"},
    {"$", " So we get it.\n#### 18", {""}, " So we get it.\n#### 18"},
    {"$", " It is 160, I think.\n#### 160.", {""}, " It is 160, I think.\n#### 160."},
    {"$", " 6", {""}, " 6"},
    {"$", "$1,000.50 or -3", {""}, "$1,000.50 or -3"},
    {"$", "ab  \n", {"", ""}, "ab  \n"},
    {"$", "ab\ncd\n", {"", ""}, "ab\ncd\n"},
    {"$", "The Answer is B, the answer is c", {""}, "The Answer is B, the answer is c"},
    {"$", "x1 yx x\303\251\344\270\255", {""}, "x1 yx x\303\251\344\270\255"},
    {"$", "\331\241\331\242 12\n", {"", ""}, "\331\241\331\242 12\n"},
    {"$", "12", {""}, "12"},
    {"$", "  lead\n\n tail ", {""}, "  lead\n\n tail "},
    {"$", "1.\n2.", {""}, "1.\n2."},
    {"$", "aab bb 11 223", {""}, "aab bb 11 223"},
    {"\\d+\\Z", " So we get it.\n#### 18", {"18"}, " So we get it.\n#### "},
    {"\\d+\\Z", " 6", {"6"}, " "},
    {"\\d+\\Z", "$1,000.50 or -3", {"3"}, "$1,000.50 or -"},
    {"\\d+\\Z", "12", {"12"}, ""},
    {"\\d+\\Z", "aab bb 11 223", {"223"}, "aab bb 11 "},
    {"(?m)^\\S+", "a", {"a"}, ""},
    {"(?m)^\\S+", "baac", {"baac"}, ""},
    {"(?m)^\\S+", " So we get it.\n#### 18", {"####"}, " So we get it.\n 18"},
    {"(?m)^\\S+", " It is 160, I think.\n#### 160.", {"####"}, " It is 160, I think.\n 160."},
    {"(?m)^\\S+", "$1,000.50 or -3", {"$1,000.50"}, " or -3"},
    {"(?m)^\\S+", "ab  \n", {"ab"}, "  \n"},
    {"(?m)^\\S+", "ab\ncd\n", {"ab", "cd"}, "\n\n"},
    {"(?m)^\\S+", "The Answer is B, the answer is c", {"The"}, " Answer is B, the answer is c"},
    {"(?m)^\\S+", "x1 yx x\303\251\344\270\255", {"x1"}, " yx x\303\251\344\270\255"},
    {"(?m)^\\S+", "\331\241\331\242 12\n", {"\331\241\331\242"}, " 12\n"},
    {"(?m)^\\S+", "12", {"12"}, ""},
    {"(?m)^\\S+", "1.\n2.", {"1.", "2."}, "\n"},
    {"(?m)^\\S+", "aab bb 11 223", {"aab"}, " bb 11 223"},
    {"(?P<n>\\d)(?P=n)", "$1,000.50 or -3", {"0"}, "$1,0.50 or -3"},
    {"(?P<n>\\d)(?P=n)", "aab bb 11 223", {"1", "2"}, "aab bb  3"}};

std::string filtered(std::vector<FilterStep> steps, std::vector<std::string> replies) {
  const auto out = apply_filter({"f", std::move(steps)}, std::move(replies));
  return out ? *out : "error: " + out.error().message;
}

using Function = FilterStep::Function;
FilterStep step(Function function) {
  FilterStep out;
  out.function = function;
  return out;
}
FilterStep regex(const char* pattern, std::int64_t group = 0) {
  FilterStep out = step(Function::regex);
  out.regex_pattern = pattern;
  out.group_select = group;
  return out;
}

}  // namespace

TEST_CASE("findall and sub give what Python's re gives") {
  for (const RegexCase& c : kRegexCases) {
    CAPTURE(c.pattern);
    CAPTURE(c.text);
    const auto compiled = Regex::compile(c.pattern);
    REQUIRE_MESSAGE(compiled.has_value(), compiled.error().message);
    CHECK(*compiled->find_all(c.text) == c.found);
    CHECK(*compiled->remove_all(c.text) == c.rest);
  }
}

TEST_CASE("patterns that do not compile or run for ever are one line") {
  const auto bad = Regex::compile("(a");
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error().message == "pattern '(a': missing closing parenthesis (at byte 2)");
  CHECK(Regex::compile(std::string(70000, 'a')).error().code == moe::ErrorCode::bad_argument);
  CHECK(Regex::compile(std::string(1000, '(')).error().code == moe::ErrorCode::bad_file);
  const auto slow = Regex::compile("(a+)+$");
  REQUIRE(slow.has_value());
  const auto stopped = slow->find_all(std::string(60, 'a') + "b");
  REQUIRE_FALSE(stopped.has_value());
  CHECK(stopped.error().message == "pattern '(a+)+$' on a text of 61 bytes: match limit exceeded");
  // A reply that ends inside a character is no error.
  CHECK(*Regex::compile("b")->find_all("a\xe4\xb8 b") == std::vector<std::string>{"b"});
}

TEST_CASE("a reply on which a pattern gives up is one wrong answer, not the end of the run") {
  moe::eval::TaskSpec task;
  task.kind = moe::eval::TaskKind::generation;
  FilterStep step;
  step.function = Function::regex;
  step.regex_pattern = "(a+)+$";
  task.filters = {{"slow", {step}}};
  task.metrics = {{moe::eval::Metric::exact_match, "slow"}};
  const auto scored = [&](const std::string& text) {
    moe::eval::Generation reply;
    reply.text = text;
    return moe::eval::score_reply(task, {}, std::move(reply));
  };
  const std::string slow = std::string(60, 'a') + "b";
  for (const bool in_filter : {true, false}) {
    CAPTURE(in_filter);
    if (!in_filter) {
      task.filters[0].steps.clear();
      task.exact_match.regexes_to_ignore = {"(a+)+$"};
    }
    const auto outcome = scored(slow);
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    CHECK(outcome->failure == moe::eval::Failure::match_limit);
    CHECK(outcome->metrics == std::vector<double>{0});
    CHECK(outcome->filtered == std::vector<std::string>{""});
    CHECK(outcome->reply->text == slow);
    CHECK(scored("aa")->failure == moe::eval::Failure::none);
  }
}

TEST_CASE("filter functions") {
  CHECK(filtered({}, {"x", "y"}) == "x");
  CHECK(filtered({step(Function::take_first)}, {"x", "y"}) == "x");
  CHECK(filtered({step(Function::majority_vote)}, {"b", "a", "c", "a", "c"}) == "a");  // the earliest of equals
  FilterStep two = step(Function::take_first_k);
  two.k = 2;
  CHECK(filtered({two, step(Function::majority_vote)}, {"b", "a", "a"}) == "b");
  two.k = 4;
  CHECK(filtered({two}, {"b", "a", "a"}) == "error: filter f: take_first_k: 4 replies asked for, there are 3");
  CHECK(filtered({step(Function::remove_whitespace)}, {"  x "}) == "x");
  CHECK(filtered({step(Function::remove_whitespace)}, {"\n x y\u3000"}) == "x y");
  CHECK(filtered({step(Function::lowercase)}, {"\xc3\x84 B\xff"}) == "\xc3\xa4 b\xff");
  CHECK(filtered({step(Function::uppercase)}, {"\xc3\xa4 b"}) == "\xc3\x84 B");
  FilterStep map = step(Function::map);
  map.mapping = {{"yes", "A"}};
  CHECK(filtered({map}, {"yes"}) == "A");
  CHECK(filtered({map}, {"no"}) == "[invalid]");
  CHECK(filtered({regex("[0-9]+")}, {"1 22 333"}) == "1");
  CHECK(filtered({regex("[0-9]+", -1)}, {"1 22 333"}) == "333");
  CHECK(filtered({regex("[0-9]+", 1)}, {"1 22 333"}) == "22");
  CHECK(filtered({regex("[0-9]+", 3)}, {"1 22 333"}) == "[invalid]");
  CHECK(filtered({regex("[0-9]+", -4)}, {"1 22 333"}) == "[invalid]");
  CHECK(filtered({regex(":(.*)")}, {"x:\xc2\xa0 1 \n"}) == "1");  // stripped as Python strips
  // The number of a single digit, which the first alternative of GSM8K's flexible filter does not take.
  CHECK(filtered({regex("(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)}, {"It is 6"}) == "6");
  CHECK(filtered({regex("([")}, {"x"}).starts_with("error: filter f: pattern '(['"));
  // Several groups, none of which holds anything: as if nothing matched. One group may be empty.
  CHECK(filtered({regex("(\\d+)?\\s*(yes|no)?")}, {" x"}) == "[invalid]");
  CHECK(filtered({regex("(\\d*)x")}, {"x"}).empty());
  // Python's {,n} and \v, which PCRE2 reads as a text and as several characters.
  CHECK(filtered({regex("is ([A-Z]{,3})")}, {"is ABCD"}) == "ABC");
  CHECK(filtered({regex("is ([A-Z]{,})!")}, {"is ABCD!"}) == "ABCD");
  CHECK(filtered({regex("[]{,3}]+")}, {"a,3}]{"}) == ",3}]{");
  CHECK(filtered({regex("a\\{,3}")}, {"a{,3}"}) == "a{,3}");
  CHECK(filtered({regex("a(\\v|b)")}, {"a\nab"}) == "b");
}

TEST_CASE("{, is Python's repetition only where a number and } follow") {
  CHECK(filtered({regex("a{,b")}, {"a{,b"}) == "a{,b");
  CHECK(filtered({regex("a{,3")}, {"aa{,3"}) == "a{,3");
  CHECK(filtered({regex("a{,12}b")}, {std::string(12, 'a') + "b"}) == std::string(12, 'a') + "b");
}

TEST_CASE("exact_match cleans both texts alike") {
  ExactMatchSpec plain;
  CHECK(*exact_match(plain, "A", "A"));
  CHECK_FALSE(*exact_match(plain, "a", "A"));
  ExactMatchSpec gsm8k;
  gsm8k.regexes_to_ignore = {",", "\\$", "(?s).*#### ", "\\.$"};
  gsm8k.ignore_case = true;
  const std::string rationale = "She makes 9 * 2 = $<<9*2=18>>18.\n#### 1,018";
  CHECK(*exact_match(gsm8k, "$1018.", rationale));
  CHECK(*exact_match(gsm8k, "1018", rationale));
  CHECK_FALSE(*exact_match(gsm8k, "1018.5", rationale));
  CHECK_FALSE(*exact_match(gsm8k, "[invalid]", rationale));
  ExactMatchSpec marks;
  marks.ignore_punctuation = true;
  CHECK(*exact_match(marks, "(A).", "A"));
  CHECK_FALSE(*exact_match(marks,
                           "\xef\xbc\x88"
                           "A",
                           "A"));  // string.punctuation is ASCII
  marks.ignore_numbers = true;
  CHECK(*exact_match(marks, "A1", "2A"));
}

}  // namespace eval_filter_test

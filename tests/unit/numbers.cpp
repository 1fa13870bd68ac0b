// The one parser of numbers, and every option of every program that takes one.

#include "tools/common/numbers.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <set>

#include "../program.hpp"

using moe::Bounds;
using moe::parse_number;

namespace {

// What no option of any program may take for a number, whatever its type and range.
const char* const kNoNumbers[] = {"nan", "inf",   "-inf", "infinity", "",   " ",    " 5",   "5 ",
                                  "+5",  "0x10",  "5x",   "5k",       "5%", "five", "1,5x", "1e999",
                                  "--5", "1_000", "5\n6", "\x1b[2J",  "1e", "."};

std::string message(const std::string& text, const Bounds<double>& allowed) {
  const auto got = parse_number("--x", text, allowed);
  return got ? std::string() : got.error().message;
}

}  // namespace

TEST_CASE("a number is the whole text, in range, in decimal") {
  constexpr Bounds<std::int64_t> kSmall{1, 1024};
  for (const auto& [text, value] :
       std::vector<std::pair<std::string, std::int64_t>>{{"1", 1}, {"1024", 1024}, {"07", 7}, {"10", 10}, {"010", 10}})
    CHECK(parse_number("n", text, kSmall).value() == value);
  for (const char* wrong : {"0", "1025", "-1", "1.0", "1e2", "99999999999999999999", "-99999999999999999999"})
    CHECK_FALSE(parse_number("n", wrong, kSmall).has_value());

  constexpr Bounds<std::uint64_t> kSeed{0, std::numeric_limits<std::uint64_t>::max()};
  CHECK(parse_number("s", "18446744073709551615", kSeed).value() == std::numeric_limits<std::uint64_t>::max());
  for (const char* wrong : {"18446744073709551616", "-1", "-0"})
    CHECK_FALSE(parse_number("s", wrong, kSeed).has_value());

  constexpr Bounds<std::int32_t> kSigned{-3, 3};
  CHECK(parse_number("s", "-3", kSigned).value() == -3);
  CHECK_FALSE(parse_number("s", "-4", kSigned).has_value());
  CHECK_FALSE(parse_number("s", "4294967297", kSigned).has_value());  // 1, cut to 32 bits

  constexpr Bounds<double> kPositive{0, std::numeric_limits<double>::max(), true}, kShare{0, 1};
  CHECK(parse_number("l", "0.25", kPositive).value() == 0.25);
  CHECK(parse_number("l", "1e3", kPositive).value() == 1000.0);
  for (const char* wrong : {"0", "-0", "-1", "0.0", "1e-999", "0,5"})
    CHECK_FALSE(parse_number("l", wrong, kPositive).has_value());
  CHECK(parse_number("p", "0", kShare).value() == 0.0);
  CHECK(parse_number("p", "1", kShare).value() == 1.0);
  CHECK_FALSE(parse_number("p", "1.0000001", kShare).has_value());

  for (const std::string wrong : kNoNumbers) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_number("n", wrong, kSmall).has_value());
    CHECK_FALSE(parse_number("s", wrong, kSeed).has_value());
    CHECK_FALSE(parse_number("l", wrong, kPositive).has_value());
  }
}

TEST_CASE("the error names the option, what was found and what is allowed") {
  CHECK(parse_number("--n", "7x", Bounds<std::int64_t>{1, 9}).error().message ==
        "--n is '7x', expected a whole number from 1 to 9");
  CHECK(parse_number("--n", "7x", Bounds<std::int64_t>{1, 9}).error().code == moe::ErrorCode::bad_argument);
  constexpr double kAny = std::numeric_limits<double>::max();
  CHECK(message("nan", {0, kAny, true}) == "--x is 'nan', expected a number above 0");
  CHECK(message("-1", {0, kAny}) == "--x is '-1', expected a number of at least 0");
  CHECK(message("2", {0.5, 1.5, true}) == "--x is '2', expected a number above 0.5 and at most 1.5");
  CHECK(message(std::string(500, '9') + "x", {0, kAny}).size() < 120);
}

TEST_CASE("options with one number and with a list of them") {
  CLI::App app("", "program");
  std::int64_t count = 3;
  std::optional<double> share;
  std::vector<std::int32_t> list = {4};
  cli::add_number(app, "-n", count, Bounds<std::int64_t>{0, 100}, "");
  cli::add_number(app, "--share", share, Bounds<double>{0, 1}, "");
  cli::add_numbers(app, "--list", list, Bounds<std::int32_t>{1, 512}, "");
  app.parse("");
  CHECK(count == 3);
  CHECK_FALSE(share.has_value());
  CHECK(list == std::vector<std::int32_t>{4});
  app.parse("-n 7 --share=0.5 --list 16,128,512");
  CHECK(count == 7);
  CHECK(share == 0.5);
  CHECK(list == std::vector<std::int32_t>{16, 128, 512});
  app.parse(std::vector<std::string>{"", "--list"});  // CLI11 takes them last first
  CHECK(list.empty());
  for (const char* wrong : {"-n 101", "-n -7", "-n 0x7", "-n 010x", "--share nan", "--share -1", "-n 1 -n 2", "-n"})
    CHECK_THROWS_AS(app.parse(wrong), CLI::ParseError);
  for (const char* wrong : {"16,", ",16", "16,,32", "16;32", "16,nan", "16, 32", "0", "16,513", ","}) {
    try {
      app.parse(std::string("--list \"") + wrong + "\"");
      FAIL("taken for a list: " << wrong);
    } catch (const CLI::ValidationError& error) {
      CHECK(std::string(error.what()).find("a value of --list is '") == 0);
    }
  }
}

#ifdef MOE_BIN
namespace {

// The options that --help lists with a number or a list of numbers.
std::set<std::string> number_options(const std::string& help) {
  std::set<std::string> options;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string option, type;
    if (line.rfind("  -", 0) == 0 && words >> option >> type && (type == "N" || type == "N,N,..."))
      options.insert(option);
  }
  return options;
}

}  // namespace

TEST_CASE("no program takes for a number what is none") {
  const moe_test::ScratchDir scratch("moe_numbers");
  std::set<std::string> all;
  for (const char* name : {"moe-run", "moe-inspect", "moe-quantize", "moe-eval", "moe-bench"}) {
    CAPTURE(name);
    const std::string program = std::string(MOE_BIN) + "/" + name;
    const auto help = moe_test::run_program(scratch, "", program, {"--help"});
    REQUIRE(help.status == 0);
    // CLI11's own names of types that it converts itself.
    for (const char* type : {" INT", " UINT", " FLOAT"}) CHECK(help.out.find(type) == std::string::npos);
    const std::set<std::string> options = number_options(help.out);
    CHECK_FALSE(options.empty());
    all.insert(options.begin(), options.end());
    for (const std::string& option : options) {
      CAPTURE(option);
      const bool list = help.out.find("  " + option + " N,N,...") != std::string::npos;
      for (const char* wrong : {"nan", "-1", "0x10", "5k", "99999999999999999999x", "1e999"}) {
        const auto got = moe_test::run_program(scratch, "", program, {option, wrong});
        moe_test::check_one_line(got, 2, (list ? "a value of " : "") + option + " is '" + wrong + "', expected a ");
      }
    }
  }
  for (const char* option : {"--threads", "--limit", "--seed", "--top-k", "--top-p", "--temp", "-n", "--context",
                             "--pp", "--reps", "--max-length", "--num-fewshot"})
    CHECK(all.count(option) == 1);
}
#endif

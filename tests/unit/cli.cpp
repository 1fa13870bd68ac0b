#include "../../tools/cli.hpp"

#include <filesystem>

#include "support.hpp"

TEST_CASE("text from a file cannot move the cursor or break the line") {
  CHECK(cli::printable("plain \xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80") ==
        "plain \xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80");
  CHECK(cli::printable("a\nb\x1b[2J\x7f\t") == "a\\x0ab\\x1b[2J\\x7f\\x09");
  CHECK(cli::printable("\xC2\x9B") == "\\xc2\\x9b");           // CSI as one character
  CHECK(cli::printable("\xff\xC3") == "\\xff\\xc3");           // no UTF-8
  CHECK(cli::printable("\xED\xA0\x80") == "\\xed\\xa0\\x80");  // a surrogate
  CHECK(cli::printable("\xC0\x8A") == "\\xc0\\x8a");           // an overlong line feed
  CHECK(cli::printable(std::string_view("\0x", 2)) == "\\x00x");
}

TEST_CASE("every error code has its exit status") {
  using moe::ErrorCode;
  CHECK(cli::exit_status(ErrorCode::bad_file) == 1);
  CHECK(cli::exit_status(ErrorCode::not_found) == 1);
  CHECK(cli::exit_status(ErrorCode::unsupported) == 1);
  CHECK(cli::exit_status(ErrorCode::non_finite) == 1);
  CHECK(cli::exit_status(ErrorCode::out_of_memory) == 3);
  CHECK(cli::exit_status(ErrorCode::internal) == 3);
  CHECK(cli::exit_status(ErrorCode::cancelled) == 130);
}

TEST_CASE("durations") {
  CHECK(cli::duration_text(0.0) == "0:00");
  CHECK(cli::duration_text(61.2) == "1:01");
  CHECK(cli::duration_text(3725.0) == "1:02:05");
}

TEST_CASE("a file is written whole or not at all") {
  namespace fs = std::filesystem;
  const fs::path dir = fs::temp_directory_path() / ("moe_cli_" + std::to_string(getpid()));
  fs::create_directory(dir);
  const std::string path = (dir / "out.json").string();
  REQUIRE(cli::write_file(path, "first").has_value());
  REQUIRE(cli::write_file(path, "second").has_value());
  CHECK(moe_test::read_file(path) == "second");
  CHECK(std::distance(fs::directory_iterator(dir), fs::directory_iterator{}) == 1);
  const auto nowhere = cli::write_file((dir / "absent/out.json").string(), "x");
  REQUIRE_FALSE(nowhere.has_value());
  CHECK(nowhere.error().code == moe::ErrorCode::io);
  fs::remove_all(dir);
}

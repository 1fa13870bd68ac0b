#include "../../tools/cli.hpp"

#include "../../tools/npy_file.hpp"
#include "../../tools/token_text.hpp"

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

TEST_CASE("token ids of a command line") {
  CHECK(*cli::parse_ids(" 1 2,3\n4 ") == std::vector<moe::TokenId>{1, 2, 3, 4});
  CHECK(cli::parse_ids("")->empty());
  for (const char* wrong : {"1 x", "1.5", "99999999999", "1-2", "-4", "0x10"})
    CHECK_FALSE(cli::parse_ids(wrong).has_value());
}

TEST_CASE("characters that come in pieces are shown whole") {
  const std::string text = "a\xC3\xA9 \xE4\xBD\xA0\xF0\x9F\x98\x80z";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    cli::Utf8Stream stream;
    std::string all;
    for (std::size_t at = 0; at < text.size(); at += piece) {
      const std::string shown = stream.push(std::string_view(text).substr(at, piece));
      for (std::size_t i = 0; i < shown.size();) {
        const std::size_t n = cli::utf8_length(shown, i);
        REQUIRE(n > 0);
        i += n;
      }
      all += shown;
    }
    CHECK(all + stream.finish() == text);
  }
  cli::Utf8Stream broken;
  CHECK(broken.push("\xF0\x9F").empty());
  CHECK(broken.finish() == "\xF0\x9F");
  CHECK(broken.push("\x80\x80\x80\x80") == "\x80\x80\x80\x80");  // no character can come of it: nothing is held back
  CHECK(cli::terminal_text("a\n\tb\x1b[2J\n") == "a\n\tb\\x1b[2J\n");
}

TEST_CASE("a .npy file has NumPy's header, and its name only when complete") {
  namespace fs = std::filesystem;
  const fs::path dir = fs::temp_directory_path() / ("moe_npy_" + std::to_string(getpid()));
  fs::create_directory(dir);
  const std::string path = (dir / "x.npy").string();
  {
    auto file = cli::NpyFile::create(path, 3);
    REQUIRE(file.has_value());
    REQUIRE(file->append(std::vector<float>{1, 2, 3}).has_value());
    CHECK_FALSE(fs::exists(path));
  }
  CHECK(fs::is_empty(dir));
  auto file = cli::NpyFile::create(path, 3);
  REQUIRE(file.has_value());
  REQUIRE(file->append(std::vector<float>{1, 2, 3}).has_value());
  REQUIRE(file->append(std::vector<float>{4, 5, 6}).has_value());
  REQUIRE(file->finish().has_value());
  const std::string bytes = moe_test::read_file(path);
  REQUIRE(bytes.size() == 128 + 6 * sizeof(float));
  CHECK(bytes.substr(0, 10) == std::string("\x93NUMPY\x01\x00\x76\x00", 10));
  CHECK(bytes.find("'shape': (2, 3), }") != std::string::npos);
  CHECK(bytes[127] == '\n');
  float last = 0;
  std::memcpy(&last, bytes.data() + bytes.size() - sizeof last, sizeof last);
  CHECK(last == 6.0f);
  fs::remove_all(dir);
}

#pragma once
// What the tests of bad input share: a directory that goes away, files without a disk, and what an error must look like.

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "memory_file.hpp"
#include "moe/error.hpp"

namespace moe_test {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "moe-bad-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::string write(const std::string& name, std::string_view bytes) const {
    const auto file = path_ / name;
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    REQUIRE(out.good());
    return file.string();
  }

 private:
  std::filesystem::path path_;
};

/// One line that a terminal can show.
inline bool is_one_printable_line(std::string_view message) {
  if (message.empty() || message.size() > 2000) return false;
  for (const char c : message)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return true;
}

/// A file that must be refused, and how.
struct BadCase {
  std::string name;
  std::string bytes;
  moe::ErrorCode code = moe::ErrorCode::bad_file;
  std::vector<std::string> says;  ///< parts of the message
};

template <class T>
void check_refused(const moe::Result<T>& result, moe::ErrorCode code, const std::vector<std::string>& says) {
  if (result.has_value()) {
    FAIL_CHECK("was accepted");
    return;
  }
  CAPTURE(result.error().message);
  CHECK(result.error().code == code);
  CHECK(is_one_printable_line(result.error().message));
  for (const std::string& part : says) {
    CAPTURE(part);
    CHECK(result.error().message.find(part) != std::string::npos);
  }
}

}  // namespace moe_test

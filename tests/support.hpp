#pragma once
// Helpers shared by all tests: reference directories, gzip lines, bit comparison. Read by tests only.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace moe_test {

/// A directory of reference data: the variable if set (then it must exist), else `fallback` below the project's root,
/// else `small` below tests/data. An empty path means "nowhere": the caller reports a skip.
inline std::filesystem::path reference_dir(const char* variable, const std::string& fallback,
                                           const std::string& small = {}) {
  namespace fs = std::filesystem;
  if (const char* named = std::getenv(variable)) {
    if (!fs::exists(named)) FAIL(std::string(variable) << " names " << std::string(named) << ", which does not exist");
    return named;
  }
  const fs::path root = MOE_SOURCE_DIR;
  if (fs::exists(root / fallback)) return root / fallback;
  if (!small.empty() && fs::exists(root / "tests/data" / small)) return root / "tests/data" / small;
  return {};
}

/// Prints on stdout why something was not tested.
inline void report_skip(const std::string& what, const std::string& why) {
  std::cout << "SKIPPED " << what << ": " << why << std::endl;
}

/// After a loop over cases of a reference_dir(): without a case it fails if `variable` names the directory, else it is a
/// skip.
inline void check_any_case(std::size_t cases, const char* variable, const std::string& what) {
  if (cases > 0) return;
  if (std::getenv(variable) != nullptr) FAIL_CHECK(variable << " names a directory without " << what);
  report_skip(what, "none found");
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), "cannot read " << path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Lines of a plain or .gz file.
inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
  gzFile in = gzopen(path.c_str(), "rb");
  REQUIRE_MESSAGE(in != nullptr, "cannot read " << path);
  std::vector<std::string> lines;
  std::string line;
  char buffer[1 << 16];
  int n = 0;
  while ((n = gzread(in, buffer, sizeof buffer)) > 0) {
    for (int i = 0; i < n; ++i) {
      if (buffer[i] == '\n') {
        lines.push_back(std::move(line));
        line.clear();
      } else {
        line.push_back(buffer[i]);
      }
    }
  }
  gzclose(in);
  if (!line.empty()) lines.push_back(std::move(line));
  return lines;
}

/// A device whose disk is always full, for code that writes to a path. Root could lose /dev/full itself to a fault
/// under test: then the device is one of its own in `folder`. Empty where none can be made: the caller reports a skip.
inline std::string full_device(const std::filesystem::path& folder) {
  if (geteuid() != 0) return "/dev/full";
  const std::string path = (folder / "full_device").string();
  const bool made = mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 7)) == 0;
  const int opened = made ? open(path.c_str(), O_WRONLY | O_CLOEXEC) : -1;  // not on a file system without devices
  if (opened < 0) return {};
  close(opened);
  return path;
}

template <class T>
bool same_bits(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}
template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return same_bits(std::span<const T>(a), std::span<const T>(b));
}

}  // namespace moe_test

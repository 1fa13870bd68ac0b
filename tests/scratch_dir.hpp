#pragma once
// A directory for the files of a test.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support.hpp"

namespace moe_test {

/// A directory of this object alone, removed at the end. Other users can look into it: some tests become one.
struct ScratchDir {
  std::filesystem::path dir;
  explicit ScratchDir(const std::string& name) {
    std::string path = (std::filesystem::temp_directory_path() / (name + "_XXXXXX")).string();
    REQUIRE(mkdtemp(path.data()) != nullptr);
    dir = path;
    std::filesystem::permissions(dir, std::filesystem::perms(0755));
  }
  ~ScratchDir() { std::filesystem::remove_all(dir); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;
  std::string operator/(const std::string& name) const { return (dir / name).string(); }
  /// Writes a file, and the folders above it; returns its path.
  std::string write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories((dir / name).parent_path());
    std::ofstream out(dir / name, std::ios::binary);
    out << bytes;
    REQUIRE_MESSAGE(out.flush().good(), "cannot write " << dir / name);
    return *this / name;
  }
};

}  // namespace moe_test

#pragma once
// A directory for the files of a test.

#include <cstdlib>
#include <filesystem>
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
};

}  // namespace moe_test

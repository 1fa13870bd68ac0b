#pragma once
// A fuzzer's input as a directory that readers can open.

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include "memory_file.hpp"

namespace moe_test {

/// A directory of files in memory: links to them, as the Hugging Face cache consists of links. A new input changes the
/// files and not the directory, which saves most of the time.
class MemoryDirectory {
 public:
  explicit MemoryDirectory(std::initializer_list<const char*> names) {
    namespace fs = std::filesystem;
    std::string pattern = (fs::temp_directory_path() / "moe-fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
    for (const char* name : names) fs::create_symlink(files_.emplace_back("").path(), fs::path(path_) / name);
  }
  MemoryDirectory(const MemoryDirectory&) = delete;
  MemoryDirectory& operator=(const MemoryDirectory&) = delete;
  ~MemoryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  /// The file of the name with this number.
  void assign(std::size_t number, std::string_view bytes) {
    if (!files_[number].assign(bytes)) std::abort();
  }

 private:
  std::string path_;
  std::deque<MemoryFile> files_;
};

}  // namespace moe_test

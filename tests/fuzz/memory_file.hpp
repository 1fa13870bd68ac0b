#pragma once
// A fuzzer's input as a file that readers can open.

#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

namespace moe_test {

/// A file in memory that can be opened by name.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(::memfd_create("moe", MFD_CLOEXEC)) { assign(bytes); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(descriptor_); }
  /// False when the system refused.
  bool assign(std::string_view bytes) {
    if (::ftruncate(descriptor_, 0) != 0) return false;
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
      if (n <= 0) return false;
      done += static_cast<std::size_t>(n);
    }
    return true;
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace moe_test

#pragma once
// Files that other programs change while they are read.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scratch_dir.hpp"

namespace moe_test {

namespace fs = std::filesystem;

inline void write_file(const fs::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  REQUIRE(out.flush().good());
}

// Changes the byte in place: the file stays the same one.
inline void flip(const fs::path& path, std::uint64_t offset) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  char byte = 0;
  REQUIRE(::pread(fd, &byte, 1, static_cast<off_t>(offset)) == 1);
  byte = static_cast<char>(byte ^ 1);
  REQUIRE(::pwrite(fd, &byte, 1, static_cast<off_t>(offset)) == 1);
  ::close(fd);
}

// A file that another program has mapped: what it writes moves none of the file's times. (The first write to a page
// does, so each page is written to once.)
class Mapping {
 public:
  explicit Mapping(const fs::path& path) : size_(fs::file_size(path)) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(fd >= 0);
    void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    REQUIRE(at != MAP_FAILED);
    bytes_ = static_cast<volatile char*>(at);
    for (std::size_t i = 0; i < size_; i += 4096) bytes_[i] = bytes_[i];
  }
  ~Mapping() { ::munmap(const_cast<char*>(bytes_), size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void flip(std::size_t at) { bytes_[at] = static_cast<char>(bytes_[at] ^ 1); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  volatile char* bytes_ = nullptr;
};

}  // namespace moe_test

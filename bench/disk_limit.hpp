#pragma once
// How fast this disk is read past the page cache: the limit of a model whose experts stay in a file.

#include <cstdint>
#include <functional>
#include <string>

#include "moe/error.hpp"

namespace moe_bench {

/// How a disk is measured.
struct DiskReads {
  std::int64_t read_bytes = std::int64_t{1} << 20;  ///< of one read, a multiple of 4096
  std::int32_t threads = 4;
  double seconds = 2.0;
  std::int64_t memory_bytes = 0;  ///< that the reads go to, at random places; 0: a little, which stays in a cache
};

struct DiskLimit {
  double bytes_per_second = 0.0;
  DiskReads reads;
  bool is_direct = true;  ///< false: the file system has no O_DIRECT, and the page cache took part
};

/// A file that is open for measurements.
class DiskFile {
 public:
  /// `path`: a file, or a folder, where a file of 1 GiB is written that has no name and goes with its descriptor.
  /// Errors: not_found, io, cancelled.
  static moe::Result<DiskFile> open(const std::string& path, const std::function<bool()>& cancelled = {});

  DiskFile(DiskFile&& other) noexcept;
  DiskFile& operator=(DiskFile&&) = delete;
  ~DiskFile();

  /// Bytes that were there to read when it was opened.
  std::int64_t size() const { return size_; }
  /// Reads pieces at random places. Errors: io (also a file smaller than one piece, or no thread), out_of_memory,
  /// cancelled.
  moe::Result<DiskLimit> measure(const DiskReads& reads, const std::function<bool()>& cancelled = {}) const;

 private:
  explicit DiskFile(std::string path) : path_(std::move(path)) {}
  moe::Result<void> open_to_read(const std::string& name);

  std::string path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
  bool is_direct_ = true;
};

}  // namespace moe_bench

#pragma once
// A float32 matrix [rows, cols] as NumPy's .npy (format 1.0), written row by row; it appears under its name only when
// it is complete.

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <utility>

#include "moe/error.hpp"

namespace cli {

class NpyFile {
 public:
  /// Errors: io.
  static moe::Result<NpyFile> create(const std::string& path, std::int64_t cols) {
    static_assert(std::endian::native == std::endian::little, "the header says little-endian");
    NpyFile out;
    out.path_ = path;
    out.part_ = path + ".part" + std::to_string(getpid());
    out.cols_ = cols;
    out.file_ = std::fopen(out.part_.c_str(), "wb");
    if (out.file_ == nullptr) return out.failed("create");
    if (auto ok = out.write_header(); !ok) return moe::forward(ok);
    return out;
  }
  NpyFile(NpyFile&& o) noexcept
      : path_(std::move(o.path_)),
        part_(std::move(o.part_)),
        file_(std::exchange(o.file_, nullptr)),
        rows_(o.rows_),
        cols_(o.cols_) {}
  NpyFile& operator=(NpyFile&&) = delete;
  ~NpyFile() {
    if (file_ == nullptr) return;
    std::fclose(file_);
    ::unlink(part_.c_str());
  }

  moe::Result<void> append(std::span<const float> row) {
    if (std::fwrite(row.data(), sizeof(float), row.size(), file_) != row.size()) return failed("write");
    ++rows_;
    return {};
  }
  /// Writes the final shape and gives the file its name.
  moe::Result<void> finish() {
    if (std::fseek(file_, 0, SEEK_SET) != 0) return failed("write");
    if (auto ok = write_header(); !ok) return ok;
    if (std::fclose(std::exchange(file_, nullptr)) != 0 || std::rename(part_.c_str(), path_.c_str()) != 0) {
      auto error = failed("write");
      ::unlink(part_.c_str());
      return error;
    }
    return {};
  }

 private:
  NpyFile() = default;
  moe::Result<void> write_header() {
    // 128 bytes whatever the shape, so that it can be written again at the end.
    std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_) + ", " +
                       std::to_string(cols_) + "), }";
    text.resize(117, ' ');
    const std::string header = std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + "\n";
    if (std::fwrite(header.data(), 1, header.size(), file_) != header.size()) return failed("write");
    return {};
  }
  tl::unexpected<moe::Error> failed(const char* what) const {
    return moe::fail(moe::ErrorCode::io, path_ + ": cannot " + what + ": " + std::strerror(errno));
  }

  std::string path_, part_;
  std::FILE* file_ = nullptr;
  std::int64_t rows_ = 0, cols_ = 0;
};

}  // namespace cli

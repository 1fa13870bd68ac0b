#pragma once
// A float32 matrix [rows, cols] as NumPy's .npy (format 1.0), written row by row.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "support/output_file.hpp"

namespace cli {

class NpyFile {
 public:
  /// The header at the start has the number of rows, so outputs that are not regular files get everything in finish(),
  /// from an unnamed temporary file. Errors: those of OutputFile.
  static moe::Result<NpyFile> create(moe::OutputFile file, std::int64_t cols);

  moe::Result<void> append(std::span<const float> row);
  /// Writes the final shape and renames the file.
  moe::Result<void> finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit NpyFile(moe::OutputFile file) : file_(std::move(file)) {}
  std::string header() const;
  tl::unexpected<moe::Error> spool_failed() const;

  moe::OutputFile file_;
  std::unique_ptr<std::FILE, Close> spool_;  // of a stream
  std::int64_t rows_ = 0, cols_ = 0;
};

}  // namespace cli

#include "tools/common/npy_file.hpp"

#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace cli {

std::string NpyFile::header() const {
  // 128 bytes for any shape, so that it can be overwritten at the end.
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows_) + ", " +
                     std::to_string(cols_) + "), }";
  text.resize(117, ' ');
  return std::string("\x93NUMPY\x01\x00\x76\x00", 10) + text + "\n";
}

tl::unexpected<moe::Error> NpyFile::spool_failed() const {
  return moe::fail(moe::ErrorCode::io, file_.path() + ": cannot be gathered in a temporary file: " +
                                           std::generic_category().message(errno));
}

moe::Result<NpyFile> NpyFile::create(moe::OutputFile file, std::int64_t cols) {
  static_assert(std::endian::native == std::endian::little, "the header says little-endian");
  NpyFile out(std::move(file));
  out.cols_ = cols;
  if (out.file_.is_stream()) {
    out.spool_.reset(std::tmpfile());
    if (!out.spool_) return out.spool_failed();
  } else if (auto ok = out.file_.write(out.header()); !ok) {
    return moe::forward(ok);
  }
  return out;
}

moe::Result<void> NpyFile::append(std::span<const float> row) {
  ++rows_;
  if (!spool_) return file_.write(std::as_bytes(row));
  if (std::fwrite(row.data(), sizeof(float), row.size(), spool_.get()) != row.size()) return spool_failed();
  return {};
}

moe::Result<void> NpyFile::finish() {
  if (!spool_) {
    if (auto ok = file_.rewrite(0, header()); !ok) return ok;
    return file_.finish();
  }
  if (std::fflush(spool_.get()) != 0 || std::fseek(spool_.get(), 0, SEEK_SET) != 0) return spool_failed();
  if (auto ok = file_.write(header()); !ok) return ok;
  std::vector<char> piece(std::size_t{1} << 20);
  std::size_t n = 0;
  while ((n = std::fread(piece.data(), 1, piece.size(), spool_.get())) > 0)
    if (auto ok = file_.write(std::string_view(piece.data(), n)); !ok) return ok;
  if (std::ferror(spool_.get()) != 0) return spool_failed();
  return file_.finish();
}

}  // namespace cli

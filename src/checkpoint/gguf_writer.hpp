#pragma once
// Writes a GGUF file (version 3, little-endian, alignment 32): the header at once, then the tensors' bytes in order.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/formats.hpp"
#include "support/output_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// Metadata in the file's encoding. Keys must differ; the value types are those that readers expect of a key.
class GgufMetadata {
 public:
  void u32(std::string_view key, std::uint32_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void booleans(std::string_view key, const std::vector<bool>& values);
  void texts(std::string_view key, std::span<const std::string> values);
  void integers(std::string_view key, std::span<const std::int32_t> values);
  void numbers(std::string_view key, std::span<const float> values);
  /// An entry of another file: `value` is its type and value as they stand there.
  void raw(std::string_view key, std::span<const std::byte> value);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void start(std::string_view key, std::uint32_t type);
  std::string bytes_;
  std::uint64_t count_ = 0;
};

/// `shape` is row-major, outermost first, as in TensorInfo.
struct GgufTensor {
  std::string name;
  Format format = Format::f32;
  std::vector<std::int64_t> shape;

  std::int64_t cols() const { return shape.back(); }
  std::int64_t rows() const;
  std::uint64_t bytes() const;
};

class GgufWriter {
 public:
  /// Writes everything before the weights and sets the file's final length, so that it can already be opened.
  /// Errors: io, bad_shape (a tensor that the format cannot hold, by name).
  static Result<GgufWriter> begin(OutputFile file, const GgufMetadata& metadata, std::vector<GgufTensor> tensors);

  const OutputFile& file() const { return file_; }
  std::uint64_t file_bytes() const { return file_bytes_; }
  /// The next bytes of the tensors, in their order; one call's bytes are of one tensor.
  Result<void> write(std::span<const std::byte> bytes);
  /// Errors: io; internal when bytes are missing.
  Result<void> finish();

 private:
  explicit GgufWriter(OutputFile file) : file_(std::move(file)) {}
  OutputFile file_;
  std::vector<GgufTensor> tensors_;
  std::size_t tensor_ = 0;     // the one being written
  std::uint64_t written_ = 0;  // of its bytes
  std::uint64_t file_bytes_ = 0;
};

}  // namespace moe::inline MOE_ABI::checkpoint

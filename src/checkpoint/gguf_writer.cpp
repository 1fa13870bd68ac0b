#include "checkpoint/gguf_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>
#include <type_traits>
#include <utility>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

constexpr std::uint64_t kAlignment = 32;
constexpr std::size_t kWrittenNameLimit = 63;  // llama.cpp keeps 64 bytes with the final zero
constexpr std::size_t kWrittenDimensionLimit = 4;

enum WrittenType : std::uint32_t { kU32 = 4, kI32 = 5, kF32 = 6, kBoolean = 7, kText = 8, kArray = 9 };

template <class T>
void put(std::string& out, T value) {
  static_assert(std::is_integral_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i) & 255u));
}
void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  out.append(text);
}
std::uint64_t aligned(std::uint64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

Result<void> check(const GgufTensor& tensor) {
  const FormatInfo& info = format_info(tensor.format);
  const bool good = !tensor.name.empty() && tensor.name.size() <= kWrittenNameLimit && !tensor.shape.empty() &&
                    tensor.shape.size() <= kWrittenDimensionLimit && tensor.cols() % info.block_values == 0;
  if (good) return {};
  return fail(
      ErrorCode::bad_shape,
      fmt::format("tensor {} of shape [{}] cannot be written as {}: names have at most {} bytes, shapes 1 to {} "
                  "dimensions, rows a multiple of {} values",
                  in_quotes(tensor.name), fmt::join(tensor.shape, ", "), info.name, kWrittenNameLimit,
                  kWrittenDimensionLimit, info.block_values));
}

}  // namespace

void GgufMetadata::start(std::string_view key, std::uint32_t type) {
  put_text(bytes_, key);
  put(bytes_, type);
  ++count_;
}
void GgufMetadata::u32(std::string_view key, std::uint32_t value) {
  start(key, kU32);
  put(bytes_, value);
}
void GgufMetadata::f32(std::string_view key, float value) {
  start(key, kF32);
  put(bytes_, std::bit_cast<std::uint32_t>(value));
}
void GgufMetadata::boolean(std::string_view key, bool value) {
  start(key, kBoolean);
  put(bytes_, static_cast<std::uint8_t>(value));
}
void GgufMetadata::text(std::string_view key, std::string_view value) {
  start(key, kText);
  put_text(bytes_, value);
}
void GgufMetadata::texts(std::string_view key, std::span<const std::string> values) {
  start(key, kArray);
  put(bytes_, static_cast<std::uint32_t>(kText));
  put(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const std::string& value : values) put_text(bytes_, value);
}
void GgufMetadata::booleans(std::string_view key, const std::vector<bool>& values) {
  start(key, kArray);
  put(bytes_, static_cast<std::uint32_t>(kBoolean));
  put(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const bool value : values) put(bytes_, static_cast<std::uint8_t>(value));
}
void GgufMetadata::integers(std::string_view key, std::span<const std::int32_t> values) {
  start(key, kArray);
  put(bytes_, static_cast<std::uint32_t>(kI32));
  put(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const std::int32_t value : values) put(bytes_, static_cast<std::uint32_t>(value));
}
void GgufMetadata::numbers(std::string_view key, std::span<const float> values) {
  start(key, kArray);
  put(bytes_, static_cast<std::uint32_t>(kF32));
  put(bytes_, static_cast<std::uint64_t>(values.size()));
  for (const float value : values) put(bytes_, std::bit_cast<std::uint32_t>(value));
}
void GgufMetadata::raw(std::string_view key, std::span<const std::byte> value) {
  put_text(bytes_, key);
  bytes_.append(reinterpret_cast<const char*>(value.data()), value.size());
  ++count_;
}

std::int64_t GgufTensor::rows() const {
  std::int64_t n = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}
std::uint64_t GgufTensor::bytes() const { return static_cast<std::uint64_t>(rows() * row_bytes(format, cols())); }

Result<GgufWriter> GgufWriter::begin(OutputFile file, const GgufMetadata& metadata, std::vector<GgufTensor> tensors) {
  std::string header = "GGUF";
  put(header, std::uint32_t{3});
  put(header, static_cast<std::uint64_t>(tensors.size()));
  put(header, metadata.count());
  header += metadata.bytes();
  std::uint64_t offset = 0;
  for (const GgufTensor& tensor : tensors) {
    if (auto ok = check(tensor); !ok) return forward(ok);
    put_text(header, tensor.name);
    put(header, static_cast<std::uint32_t>(tensor.shape.size()));
    for (std::size_t i = tensor.shape.size(); i-- > 0;) put(header, static_cast<std::uint64_t>(tensor.shape[i]));
    put(header, static_cast<std::uint32_t>(tensor.format));
    put(header, offset);
    offset += aligned(tensor.bytes());
  }
  header.resize(aligned(header.size()));

  GgufWriter writer(std::move(file));
  writer.file_bytes_ = header.size() + offset;
  if (auto ok = writer.file_.extend(writer.file_bytes_); !ok) return forward(ok);
  if (auto ok = writer.file_.write(std::as_bytes(std::span(header))); !ok) return forward(ok);
  writer.tensors_ = std::move(tensors);
  return writer;
}

Result<void> GgufWriter::write(std::span<const std::byte> bytes) {
  if (tensor_ == tensors_.size() || bytes.size() > tensors_[tensor_].bytes() - written_)
    return fail(ErrorCode::internal, fmt::format("{}: more bytes than its tensors have", file_.path()));
  if (auto ok = file_.write(bytes); !ok) return ok;
  written_ += bytes.size();
  if (written_ < tensors_[tensor_].bytes()) return {};
  const std::byte zeros[kAlignment] = {};
  ++tensor_;
  written_ = 0;
  return file_.write(std::span(zeros).first(aligned(file_.position()) - file_.position()));
}

Result<void> GgufWriter::finish() {
  if (tensor_ != tensors_.size())
    return fail(ErrorCode::internal,
                fmt::format("{}: {} of {} tensors were written", file_.path(), tensor_, tensors_.size()));
  return file_.finish();
}

}  // namespace moe::inline MOE_ABI::checkpoint

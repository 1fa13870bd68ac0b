#include "model/weight_rows.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "moe/detail/quant/fp8.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int64_t kMxfp4Values = 32, kMxfp4Codes = 16, kMxfp4Bytes = 17;

Result<void> read(const checkpoint::Checkpoint& file, const checkpoint::TensorInfo& tensor, std::int64_t offset,
                  std::int64_t bytes, std::vector<std::byte>& out) {
  out.resize(static_cast<std::size_t>(bytes));
  return file.read(tensor, static_cast<std::uint64_t>(offset), out);
}

// w = code * scale, both float32: one rounding, as in DeepSeek's own conversion.
Result<void> widen_fp8(const checkpoint::Checkpoint& file, const MatrixJob& job, std::int64_t first, std::int64_t count,
                       RowBuffers& b) {
  const std::int64_t columns = job.tensor->cols(), per_row = job.scales->cols();
  const std::int64_t block = first / job.block_rows, blocks = (first + count - 1) / job.block_rows - block + 1;
  const auto size = static_cast<std::int64_t>(sizeof(float));
  if (auto ok = read(file, *job.scales, block * per_row * size, blocks * per_row * size, b.scales); !ok) return ok;
  b.widened.resize(static_cast<std::size_t>(count * columns * size));
  for (std::int64_t r = 0; r < count; ++r)
    for (std::int64_t c = 0; c < columns; ++c) {
      float scale;
      const std::int64_t at = ((first + r) / job.block_rows - block) * per_row + c / job.block_columns;
      std::memcpy(&scale, b.scales.data() + at * size, sizeof scale);
      const float value = quant::decode_e4m3(b.raw[static_cast<std::size_t>(r * columns + c)]) * scale;
      if (!std::isfinite(value))
        return fail(ErrorCode::bad_file,
                    fmt::format("tensor {}, row {}, column {}: an FP8 code or scale that is not a finite number",
                                job.tensor->name, first + r, c));
      std::memcpy(b.widened.data() + (r * columns + c) * size, &value, sizeof value);
    }
  return {};
}

// The file pairs neighbours in a byte, GGUF's block values i and 16 + i; exponents precede their codes.
Result<void> shuffle_mxfp4(const checkpoint::Checkpoint& file, const MatrixJob& job, std::int64_t first,
                           std::int64_t count, RowBuffers& b) {
  const std::int64_t blocks = count * (job.out->k / kMxfp4Values), first_block = first * (job.out->k / kMxfp4Values);
  if (auto ok = read(file, *job.scales, first_block, blocks, b.scales); !ok) return ok;
  b.widened.resize(static_cast<std::size_t>(blocks * kMxfp4Bytes));
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::byte* in = b.raw.data() + i * kMxfp4Codes;
    std::byte* out = b.widened.data() + i * kMxfp4Bytes;
    const auto code = [in](std::int64_t v) { return v % 2 == 0 ? in[v / 2] & std::byte{15} : in[v / 2] >> 4; };
    out[0] = b.scales[static_cast<std::size_t>(i)];
    for (std::int64_t v = 0; v < kMxfp4Codes; ++v) out[1 + v] = code(v) | code(kMxfp4Codes + v) << 4;
  }
  return {};
}

}  // namespace

std::int64_t stored_row_bytes(const MatrixJob& job) {
  switch (job.encoding) {
    case Encoding::format: break;
    case Encoding::fp8: return job.tensor->cols();
    case Encoding::mxfp4: return job.out->k / kMxfp4Values * kMxfp4Codes;
  }
  return row_bytes(job.tensor->format, job.tensor->cols());
}

Format read_format(const MatrixJob& job) {
  switch (job.encoding) {
    case Encoding::format: break;
    case Encoding::fp8: return Format::f32;
    case Encoding::mxfp4: return Format::mxfp4;
  }
  return job.tensor->format;
}

Error not_finite(std::string_view tensor, std::int64_t row, Format format) {
  const bool blocks = format_info(format).block_values > 1;
  return {ErrorCode::non_finite,
          fmt::format("tensor {}, row {}: {}", tensor, row,
                      blocks ? fmt::format("a {} block with a scale that is not a finite number", name_of(format))
                             : fmt::format("a {} value that is not a finite number", name_of(format)))};
}

Result<std::span<const std::byte>> read_rows(const checkpoint::Checkpoint& file, const MatrixJob& job,
                                             std::int64_t first, std::int64_t count, RowBuffers& b) {
  const std::int64_t bytes = stored_row_bytes(job);
  if (auto ok = read(file, *job.tensor, first * bytes, count * bytes, b.raw); !ok) return forward(ok);
  if (job.encoding == Encoding::format) return std::span<const std::byte>(b.raw);
  const auto ok =
      job.encoding == Encoding::fp8 ? widen_fp8(file, job, first, count, b) : shuffle_mxfp4(file, job, first, count, b);
  if (!ok) return forward(ok);
  return std::span<const std::byte>(b.widened);
}

}  // namespace moe::inline MOE_ABI

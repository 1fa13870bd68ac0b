#include "model/weight_rows.hpp"

#include <fmt/format.h>

#include <cstring>

#include "model/scaled_rows.hpp"
#include "moe/decode.hpp"
#include "moe/detail/reference/scaled_row.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int64_t kMxfp4Values = 32, kMxfp4Codes = 16, kMxfp4Bytes = 17;

Result<void> read(const checkpoint::Checkpoint& file, const checkpoint::TensorInfo& tensor, std::int64_t offset,
                  std::int64_t bytes, std::vector<std::byte>& out) {
  out.resize(static_cast<std::size_t>(bytes));
  return file.read(tensor, static_cast<std::uint64_t>(offset), out);
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
    case Encoding::format: return row_bytes(job.tensor->format, job.tensor->cols());
    case Encoding::mxfp4: return job.out->k / kMxfp4Values * kMxfp4Codes;
    case Encoding::fp8:
    case Encoding::rows:
    case Encoding::gptq:
    case Encoding::awq: break;
  }
  return row_bytes(read_format(job), job.scaled.columns);
}

bool spreads_rows(const MatrixJob& job) { return job.encoding == Encoding::gptq || job.encoding == Encoding::awq; }

Format read_format(const MatrixJob& job) {
  switch (job.encoding) {
    case Encoding::format: return job.tensor->format;
    case Encoding::mxfp4: return Format::mxfp4;
    case Encoding::fp8: return Format::e4m3;
    case Encoding::rows:
    case Encoding::gptq:
    case Encoding::awq: break;
  }
  return job.scaled.bits == 4 ? Format::int4 : Format::int8;
}

std::int64_t read_row_bytes(const MatrixJob& job) {
  const Format format = read_format(job);
  return is_scaled_format(format) ? reference::scaled_row_bytes(format, job.columns(), job.groups)
                                  : row_bytes(format, job.columns());
}

void decode_read_row(const MatrixJob& job, const std::byte* row, float* out) {
  const Format format = read_format(job);
  is_scaled_format(format) ? reference::decode_scaled_row(format, job.groups, row, job.columns(), out)
                           : decode_row(format, row, job.columns(), out);
}

Error not_finite(std::string_view tensor, std::int64_t row, Format format) {
  if (format == Format::e4m3)
    return {ErrorCode::bad_file,
            fmt::format("tensor {}, row {}: an FP8 code that is NaN, or a scale that is not a number below 2^119",
                        tensor, row)};
  if (is_scaled_format(format))
    return {ErrorCode::bad_file,
            fmt::format("tensor {}, row {}: a scale that is not a number below 2^119", tensor, row)};
  const bool blocks = format_info(format).block_values > 1;
  return {ErrorCode::non_finite,
          fmt::format("tensor {}, row {}: {}", tensor, row,
                      blocks ? fmt::format("a {} block with a scale that is not a finite number", name_of(format))
                             : fmt::format("a {} value that is not a finite number", name_of(format)))};
}

Result<std::span<const std::byte>> read_rows(const checkpoint::Checkpoint& file, const MatrixJob& job,
                                             std::int64_t first, std::int64_t count, RowBuffers& b) {
  const std::int64_t bytes = stored_row_bytes(job);
  if (!spreads_rows(job))
    if (auto ok = read(file, *job.tensor, first * bytes, count * bytes, b.raw); !ok) return forward(ok);
  if (job.encoding == Encoding::format) return std::span<const std::byte>(b.raw);
  const auto ok = job.encoding == Encoding::mxfp4 ? shuffle_mxfp4(file, job, first, count, b)
                                                  : make_scaled_rows(file, job, first, count, b);
  if (!ok) return forward(ok);
  return std::span<const std::byte>(b.widened);
}

}  // namespace moe::inline MOE_ABI

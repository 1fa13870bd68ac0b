#pragma once
// Reads rows of a weight tensor in one of our formats, whatever the encoding in the file.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "model/plan.hpp"

namespace moe::inline MOE_ABI {

/// Bytes of one row in the file, without scales.
std::int64_t stored_row_bytes(const MatrixJob& job);
/// The format that read_rows() gives.
Format read_format(const MatrixJob& job);

/// The error of a row that kernels::row_is_valid() refuses.
Error not_finite(std::string_view tensor, std::int64_t row, Format format);

/// Memory of one reader.
struct RowBuffers {
  std::vector<std::byte> raw, scales, widened;
};

/// Rows [first, first + count) of the job's tensor, in read_format(job), consecutive, stored in `buffers`.
///
/// Errors  io; bad_file for an FP8 NaN or a scale that is not finite
Result<std::span<const std::byte>> read_rows(const checkpoint::Checkpoint& file, const MatrixJob& job,
                                             std::int64_t first, std::int64_t count, RowBuffers& buffers);

}  // namespace moe::inline MOE_ABI

#pragma once
// Reads rows of a weight tensor in one of our formats, whatever the encoding in the file.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "model/plan.hpp"
#include "moe/detail/math.hpp"

namespace moe::inline MOE_ABI {

/// Bytes of one row in the file, without scales; on average where rows are not apart (spreads_rows()).
std::int64_t stored_row_bytes(const MatrixJob& job);
/// True where each row has bytes all over the tensor, as in GPTQ and AWQ: read_rows() then reads many small pieces,
/// unless all rows are wanted.
bool spreads_rows(const MatrixJob& job);
/// The format that read_rows() gives, and the bytes of a row in it.
Format read_format(const MatrixJob& job);
std::int64_t read_row_bytes(const MatrixJob& job);
/// A row that read_rows() gave, as float32.
void decode_read_row(const MatrixJob& job, const std::byte* row, float* out);

/// The error of a row that kernels::row_is_valid() refuses.
Error not_finite(std::string_view tensor, std::int64_t row, Format format);

/// What layers with a state use of A_log, and GGUF files hold.
inline float minus_exp(float a_log) { return static_cast<float>(-detail::exp(static_cast<double>(a_log))); }

/// Memory of one reader.
struct RowBuffers {
  std::vector<std::byte> raw, scales, zeros, widened;
};

/// Rows [first, first + count) of the job's tensor, in read_format(job), consecutive, stored in `buffers`.
///
/// Errors  io; unsupported for a zero point that no byte holds
Result<std::span<const std::byte>> read_rows(const checkpoint::Checkpoint& file, const MatrixJob& job,
                                             std::int64_t first, std::int64_t count, RowBuffers& buffers);

}  // namespace moe::inline MOE_ABI

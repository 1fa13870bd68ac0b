#pragma once
// Part of read_rows() (weight_rows.hpp): weights whose scales are tensors of their own.

#include "model/weight_rows.hpp"

namespace moe::inline MOE_ABI {

/// Rows [first, first + count) as detail/reference/scaled_row.hpp lays them out, in b.widened. b.raw holds the codes of
/// these rows; those of GPTQ and AWQ are read here.
///
/// Errors  io; unsupported for a zero point that no byte holds
Result<void> make_scaled_rows(const checkpoint::Checkpoint& file, const MatrixJob& job, std::int64_t first,
                              std::int64_t count, RowBuffers& b);

}  // namespace moe::inline MOE_ABI

#pragma once
// Packs rows as files store them (Q4_K, Q8_0, F16 ...) into panels of 16 rows (kernels/table.hpp), and reads single rows
// back.

#include <cstddef>
#include <cstdint>

#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

/// Bytes of one packed panel (16 rows of k values).
std::int64_t panel_bytes(Format format, std::int64_t k, const Groups& groups = {}) noexcept;

/// rows[i] points at row i in the file's layout (row_bytes(format, k) bytes) or is null for padding. Scaled formats:
/// rows as in detail/reference/scaled_row.hpp.
void pack_panel(Format format, std::int64_t k, const std::byte* const rows[kPanelRows], std::byte* panel,
                const Groups& groups = {}) noexcept;

/// Widens row `row` of a packed matrix to float32, exactly as decoding the file's row would.
void unpack_row(Format format, const Panels& w, std::int64_t row, float* out) noexcept;

/// False when a block of the row breaks a rule that kernels rely on (mxfp4 exponent 255, non-finite scale).
/// Scaled formats: an e4m3 code that is NaN, or a scale that is too large.
bool row_is_valid(Format format, std::int64_t k, const std::byte* row, const Groups& groups = {}) noexcept;

}  // namespace moe::inline MOE_ABI::kernels

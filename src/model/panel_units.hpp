#pragma once
// Rows of a checkpoint as packed panels, some of a matrix at a time.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "model/plan.hpp"
#include "model/weight_rows.hpp"

namespace moe::inline MOE_ABI {

/// Read at a time: large enough for the disk, small enough for the L2 cache.
inline constexpr std::int64_t kUnitBytes = 1 << 20;

/// Panels [begin, end) of a matrix, and the bytes that are read for them.
struct PanelUnit {
  const MatrixJob* job = nullptr;
  std::int64_t begin = 0, end = 0;
  std::size_t file = 0;
  std::uint64_t offset = 0;
  std::int64_t bytes = 0;
};

/// All panels of a matrix, in order.
std::vector<PanelUnit> panel_units(const MatrixJob& job);

/// Reads, checks and packs the panels of a unit to `out`.
/// Errors: io, bad_file (an FP8 code), non_finite (a value or scale), naming the tensor.
Result<void> pack_unit(const checkpoint::Checkpoint& file, const PanelUnit& unit, RowBuffers& buffers, std::byte* out);

}  // namespace moe::inline MOE_ABI

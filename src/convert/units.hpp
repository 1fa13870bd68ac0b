#pragma once
// The work of a conversion in pieces of bounded size: rows of one tensor, read, arranged and encoded.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "convert/convert.hpp"
#include "model/weight_rows.hpp"

namespace moe::inline MOE_ABI::convert {

/// Some output rows of one tensor, made from one source.
struct Unit {
  const OutputTensor* tensor;
  const Source* source;     // null: the tensor's own values
  std::int64_t begin, end;  // rows that the source gives
};

/// What a unit is made in, and what it made.
struct Workspace {
  std::vector<std::byte> raw, encoded;
  RowBuffers rows;  // of coded sources
  std::vector<float> values, arranged, decoded;
  double error_squares = 0.0, squares = 0.0;
};

std::vector<Unit> cut_into_units(std::span<const OutputTensor> tensors);

/// The unit's bytes in the format of its tensor, in work.encoded, and the error that the format makes.
/// Errors: io, non_finite, naming tensor and row.
Result<void> encode_unit(const checkpoint::Checkpoint& file, const Unit& unit, Workspace& work);

}  // namespace moe::inline MOE_ABI::convert

#pragma once
// Which tensor of a checkpoint becomes which weight: checked for presence and shape before anything is allocated.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/weights.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// How the bytes of a tensor encode numbers.
enum class Encoding {
  format,  ///< the tensor's own Format
  fp8,     ///< e4m3 [rows, columns] with a float32 scale per block of rows and columns: widened to float32
  mxfp4,   ///< blocks [.., rows, k / 32, 16], value 2i in the low nibble of byte i, with exponents [.., rows, k / 32]
};

/// Row i of a packed matrix is row first_row + i * step of a tensor.
struct MatrixJob {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::int64_t first_row = 0;
  Matrix* out = nullptr;
  /// Transpose: row i of the matrix is column first_column + i * step of the tensor's rows [first_row, first_row +
  /// out->k).
  bool transposed = false;
  std::int64_t first_column = 0;
  std::int64_t step = 1;  ///< 2 if gate and up are interleaved
  Encoding encoding = Encoding::format;
  const checkpoint::TensorInfo* scales = nullptr;  ///< of fp8 and mxfp4
  std::int64_t block_rows = 1, block_columns = 1;  ///< fp8: what one scale covers
};
/// Value i of a vector is value first + i * step of a tensor, plus `added`.
struct VectorJob {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::vector<float>* out = nullptr;
  std::int64_t count = 0;
  std::int64_t first = 0, step = 1;  ///< other than 0 and 1: formats of one value per block only
  float added = 0.0f;                ///< 1 for norms that are stored as w - 1
};

struct LoadPlan {
  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;
  std::int64_t total_parameters = 0;
  std::int64_t mtp_parameters = 0;
  std::int64_t tower_tensors = 0, tower_parameters = 0;  ///< of other towers of the checkpoint, which are not read
  std::vector<std::string> notes;                        ///< unused tensors of the file
};

/// Fills `weights` with empty matrices of the right shapes and lists what to read into them.
/// Errors: not_found (a tensor), bad_shape (found and expected shape), unsupported (an unexpected tensor), naming it.
Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights);

}  // namespace moe::inline MOE_ABI

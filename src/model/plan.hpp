#pragma once
// Which tensor of a checkpoint becomes which weight: checked for presence and shape before anything is allocated.

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/weights.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// How the bytes of a tensor encode numbers.
enum class Encoding {
  format,  ///< the tensor's own Format
  fp8,     ///< e4m3 [rows, columns] with a scale per block of rows and columns
  rows,    ///< compressed-tensors: int8 [rows, columns], or unsigned numbers in words along each row
  gptq,    ///< words [columns / n, rows] of n numbers of a row, the first in the lowest bits
  awq,     ///< words [columns, rows / 8] of 8 numbers of a column, interleaved
  mxfp4,   ///< blocks [.., rows, k / 32, 16], value 2i in the low nibble of byte i, with exponents [.., rows, k / 32]
};

/// The other tensors of a weight with scales: of [rows, columns] codes, one scale per block.
struct ScaledSource {
  const checkpoint::TensorInfo* scales = nullptr;  ///< [blocks of rows, of columns]; gptq, awq: [of columns, rows]
  const checkpoint::TensorInfo* zeros = nullptr;   ///< as the scales, or in words like the codes
  std::int64_t rows = 0, columns = 0;
  std::int64_t block_rows = 1, block_columns = 1;
  int bits = 8;
  bool in_words = false, zeros_in_words = false;  ///< of `rows`
  int zero_offset = 0;                            ///< added to the numbers of stored words of zero points
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
  const checkpoint::TensorInfo* scales = nullptr;  ///< of mxfp4
  ScaledSource scaled = {};                        ///< of fp8, rows, gptq and awq
  kernels::Groups groups = {};                     ///< of the same: of the rows as read_rows() gives them

  /// Of the rows that read_rows() gives.
  std::int64_t columns() const {
    if (encoding == Encoding::mxfp4) return out->k;
    return encoding == Encoding::format ? tensor->cols() : scaled.columns;
  }
};
/// Value i of a vector is value first + i * step of a tensor, plus `added`.
struct VectorJob {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::vector<float>* out = nullptr;
  std::int64_t count = 0;
  std::int64_t first = 0, step = 1;  ///< other than 0 and 1: formats of one value per block only
  float factor = 1.0f;               ///< before that
  float added = 0.0f;                ///< 1 for norms that are stored as w - 1
  std::int64_t columns = 1;          ///< the tensor is [count / columns, columns], the vector its transpose
  bool minus_exp = false;            ///< -exp(value), of A_log
};

/// A weight of codes as other directories name and shape it, and how to read its rows: from job.first_row on, in
/// steps of job.step.
struct CodedWeight {
  checkpoint::TensorInfo shown;
  MatrixJob job;
};

struct LoadPlan {
  std::list<std::vector<std::int32_t>> column_groups;  ///< of MatrixJob::groups
  std::list<CodedWeight> coded;                        ///< weights with scales, one by one; mxfp4: per matrix
  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;
  /// Of a code in each tensor of words, also of those that are not read. Not of plan_mtp().
  std::unordered_map<const checkpoint::TensorInfo*, int> code_bits;
  std::int64_t total_parameters = 0;
  std::int64_t mtp_parameters = 0;
  std::int64_t tower_tensors = 0, tower_parameters = 0;  ///< of other towers of the checkpoint, which are not read
  std::vector<std::string> notes;                        ///< unused tensors of the file
};

/// Fills `weights` with empty matrices of the right shapes and lists what to read into them.
/// Errors: not_found (a tensor), bad_shape (found and expected shape), unsupported (an unexpected tensor), naming it.
Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights);
/// The same for the file's one MTP layer (plan_mtp.cpp). Embedding and head stay empty where the file holds none for
/// that layer.
Result<LoadPlan> plan_mtp(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights);

/// Drops reads for other layers, for the embedding unless the first layer is here, and for the head unless the last one
/// is. Their matrices keep their shapes, without panels. Errors: bad_argument.
Result<void> keep_layers(const LayerRange& layers, LoadPlan& plan, const Weights& weights);

}  // namespace moe::inline MOE_ABI

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

/// Rows [first_row, first_row + out->rows) of a tensor become a packed matrix.
struct MatrixJob {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::int64_t first_row = 0;
  Matrix* out = nullptr;
  /// Transpose: the matrix's row i is column i of the tensor's rows [first_row, first_row + out->k). HF's kv_b only.
  bool transposed = false;
};
struct VectorJob {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::vector<float>* out = nullptr;
};

struct LoadPlan {
  std::vector<MatrixJob> matrices;
  std::vector<VectorJob> vectors;
  std::int64_t total_parameters = 0;
  std::int64_t mtp_parameters = 0;
};

/// Fills `weights` with empty matrices of the right shapes and lists what to read into them.
/// Errors: not_found (a tensor), bad_shape (found and expected shape), unsupported (a tensor nobody asked for), naming it.
Result<LoadPlan> plan_weights(const checkpoint::Checkpoint& file, const arch::Recognised& recognised, Weights& weights);

}  // namespace moe::inline MOE_ABI

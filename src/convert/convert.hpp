#pragma once
// The parts of a GGUF file made from a checkpoint: metadata, and tensors with the sources of their rows.

#include <string>
#include <vector>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "model/plan.hpp"

namespace moe::inline MOE_ABI::convert {

/// How rows of the sources become rows of the output.
enum class Arrangement {
  straight,    ///< in order
  rope_pairs,  ///< within every head, row j of the first half and row j of the second become neighbours (Llama's q, k)
  transposed,  ///< each source separately (kv_b's part for keys: one source per head)
};

/// Rows [first_row, first_row + row_count) of a tensor, and of them the values first_column, first_column + step, ..
struct Source {
  const checkpoint::TensorInfo* tensor = nullptr;
  std::int64_t first_row = 0, row_count = 0;
  std::int64_t first_column = 0, step = 1;  ///< 2 if gate and up are interleaved
  const MatrixJob* coded = nullptr;         ///< how to read the tensor, where it is LoadPlan::coded

  std::int64_t columns() const { return (tensor->cols() - first_column + step - 1) / step; }
};

struct OutputTensor {
  checkpoint::GgufTensor tensor;  ///< its format is chosen later
  arch::Role role = arch::Role::embedding;
  bool is_matrix = false;  ///< of a matrix product or the embedding: --type applies
  Arrangement arrangement = Arrangement::straight;
  std::int64_t head_rows = 0;  ///< rope_pairs
  std::vector<Source> sources;
  float added = 0.0f;      ///< to every value: 1 for norms stored as w - 1
  bool minus_exp = false;  ///< -exp of every value: of A_log
  /// straight: the source's column of every column of the output; empty: in order.
  std::vector<std::int64_t> column_order;
  std::vector<float> values;  ///< of a tensor that is not in the directory (no sources)
};

/// A tensor of RoPE divisors, which belong to the configuration.
constexpr bool is_rope_factors(arch::Role role) {
  return role == arch::Role::rope_factors || role == arch::Role::rope_factors_short ||
         role == arch::Role::rope_factors_long;
}

/// Tensors with GGUF's names, RoPE factors first; multi-token-prediction layers are left out. `plan` must outlive them.
/// Errors: unsupported, when the family has no GGUF form here.
Result<std::vector<OutputTensor>> tensors_of_directory(const checkpoint::Checkpoint& file,
                                                       const arch::Recognised& model, const LoadPlan& plan);
/// The same tensors again.
/// Errors: unsupported, naming a tensor of a type that libmoe does not read.
Result<std::vector<OutputTensor>> tensors_of_gguf(const checkpoint::Checkpoint& file);

/// general.*, <architecture>.* and tokenizer.* of a directory. `notes` lists what GGUF cannot represent.
/// Errors: unsupported, bad_file, io.
Result<checkpoint::GgufMetadata> metadata_of_directory(const checkpoint::Checkpoint& file,
                                                       const arch::Recognised& model, const std::string& name,
                                                       bool tokenizer, std::vector<std::string>& notes);
/// Everything except keys about the file itself: formats, alignment and shards.
Result<checkpoint::GgufMetadata> metadata_of_gguf(const checkpoint::Checkpoint& file);

/// Compares the written model with the source, because GGUF cannot express every configuration.
/// `rope_pairs` is the family's Family::gguf_rope_pairs.
/// Errors: unsupported, naming the field and both values.
Result<void> check_same_model(const ModelConfig& in, const ModelConfig& out, bool rope_pairs);

}  // namespace moe::inline MOE_ABI::convert

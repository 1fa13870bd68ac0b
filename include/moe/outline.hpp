#pragma once
// An outline of any model, also of families that libmoe does not run.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Numbers are 0 where neither configuration nor tensors give them.
struct ModelOutline {
  std::string family = {};  ///< "Qwen3NextForCausalLM (qwen3_next)", or GGUF's general.architecture
  /// What libmoe lacks: features, or "the family"; of a known family what it refuses. Empty if the model is supported.
  std::vector<std::string> missing = {};
  std::int64_t layer_count = 0, hidden_size = 0, vocab_size = 0, max_position = 0;
  std::int64_t expert_count = 0, top_k = 0;
  std::int64_t tensor_parameters = 0;  ///< of all tensors in the file
  /// Computed from the configuration as if every layer were attention and a gated FFN or experts. FLOPs of one token,
  /// without attention scores and values.
  std::int64_t parameters = 0, active_parameters = 0, flops_per_token = 0;
};

/// Of a directory or file that holds a config.json or GGUF metadata, whatever family it names.
/// Errors: not_found, io, bad_file.
MOE_API Result<ModelOutline> outline(const std::string& path);

}  // namespace moe::inline MOE_ABI

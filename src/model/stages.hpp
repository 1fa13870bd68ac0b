#pragma once
// What a Session does before its first step in a pipeline.

#include "moe/session.hpp"
#include "moe/stages.hpp"

namespace moe::inline MOE_ABI {

/// Whether the model's layers are divided over several processes.
inline bool is_pipeline(const SessionOptions& options) {
  return options.stages != nullptr && options.stages->size() > 1;
}

/// The session's part of a pipeline fits the others'; nothing to do without SessionOptions::stages.
/// Errors: bad_argument (the model's layers are not all here), unsupported, bad_config, io.
Result<void> agree_with_stages(const Model& model, const SessionOptions& options);

}  // namespace moe::inline MOE_ABI

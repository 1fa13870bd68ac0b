#pragma once
// What a Session does before its first step in a pipeline.

#include "moe/stages.hpp"

namespace moe::inline MOE_ABI {

/// The session's part of a pipeline fits the others'; nothing to do without SessionOptions::stages.
/// Errors: bad_argument (the model's layers are not all here), unsupported, bad_config, io.
Result<void> agree_with_stages(const Model& model, const SessionOptions& options);

}  // namespace moe::inline MOE_ABI

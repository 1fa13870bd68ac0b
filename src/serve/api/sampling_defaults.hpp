#pragma once
// What a request samples with where it does not say: OpenAI's values, or those of the model's generation_config.json.

#include "moe/model.hpp"
#include "serve/api/context.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// By field of the request; empty: what the tables say. Errors, where the file is asked for: unsupported when the model
/// has none or it says nothing of sampling; bad_file when a value is none that a request may have.
Result<SamplingDefaults> sampling_defaults(const Model& model, bool use_generation_config);

}  // namespace moe::inline MOE_ABI::serve::api

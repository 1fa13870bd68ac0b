#pragma once
// Default sampling settings: OpenAI's values, or those of the model's generation_config.json.

#include "moe/model.hpp"
#include "serve/api/context.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// By field of the request; empty: the tables' defaults. Errors, if the file is requested: unsupported when the model
/// has none or it has no sampling settings; bad_file for a value that a request may not have.
Result<SamplingDefaults> sampling_defaults(const Model& model, bool use_generation_config);

}  // namespace moe::inline MOE_ABI::serve::api

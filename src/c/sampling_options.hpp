#pragma once
// moe_sampler_options as the library's SamplingConfig.

#include "moe.h"
#include "moe/sampling.hpp"

namespace moe::inline MOE_ABI::c {

/// Errors: bad_argument. Sampler::create checks the numbers.
Result<SamplingConfig> sampling_config(const moe_sampler_options* given);

}  // namespace moe::inline MOE_ABI::c

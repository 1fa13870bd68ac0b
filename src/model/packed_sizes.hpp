#pragma once

#include "model/plan.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

/// Of the matrices and vectors that a plan reads.
PackedSizes packed_sizes(const LoadPlan& plan, const Weights& weights);

}  // namespace moe::inline MOE_ABI

#pragma once
// How many bytes a model's weights take in memory, from the plan of its load.

#include "model/plan.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

/// Bytes in memory of the matrices and vectors that a plan reads.
std::int64_t packed_bytes(const LoadPlan& plan);
/// The same, divided.
PackedSizes packed_sizes(const LoadPlan& plan, const Weights& weights);

}  // namespace moe::inline MOE_ABI

#pragma once
// Executes a LoadPlan: reads rows from the file straight into packed panels, in parallel, with progress and cancel.

#include "model/load_work.hpp"
#include "model/plan.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

/// Reads the planned tensors into `weights`, whose matrices the plan points at. Also hashes whole files into
/// `hash`, unless it is null: each part of a file is then read once for both.
/// Errors: io, bad_file (an invalid block), out_of_memory, cancelled, non_finite (norms and biases).
Result<void> load_weights(const checkpoint::Checkpoint& file, const LoadPlan& plan, const LoadOptions& options,
                          Weights& weights, checkpoint::ContentHasher* hash);

/// The same for the plan's vectors alone, as a part of `work`.
Result<void> load_vectors(const checkpoint::Checkpoint& file, const LoadPlan& plan, LoadWork& work,
                          checkpoint::ContentHasher* hash);

}  // namespace moe::inline MOE_ABI

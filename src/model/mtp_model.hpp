#pragma once
// The MTP layer of a checkpoint as a model of its own.

#include <memory>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/model_impl.hpp"
#include "model/plan.hpp"

namespace moe::inline MOE_ABI {

/// What load_mtp() reads. The plan points into the weights.
struct MtpPlan {
  ModelConfig config;
  std::shared_ptr<Weights> weights;
  LoadPlan plan;
};

/// mtp_config() of a file, whose MTP tensors have that many parameters: some are there whatever the configuration says.
Result<ModelConfig> mtp_config(const ModelConfig& config, std::int64_t parameters);

/// Errors: as mtp_config() and plan_weights().
Result<MtpPlan> plan_mtp_model(const checkpoint::Checkpoint& file, const arch::Recognised& recognised,
                               std::int64_t parameters);

/// `model`: the loaded model that the layer belongs to. The layer shares its tokenizer, and its embedding and head
/// where the file holds none for the layer. Errors: as load_weights().
Result<std::shared_ptr<const Model>> load_mtp(const checkpoint::Checkpoint& file, MtpPlan plan,
                                              const LoadOptions& options, const ModelImpl& model);

}  // namespace moe::inline MOE_ABI

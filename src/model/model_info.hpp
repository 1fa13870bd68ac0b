#pragma once
// Facts about a model file that need no weights in memory.

#include <string>

#include "arch/family.hpp"
#include "checkpoint/checkpoint.hpp"
#include "model/plan.hpp"
#include "moe/model.hpp"

namespace moe::inline MOE_ABI {

/// Formats, bytes, bytes touched per token, the hash, notes and unread keys; parameters are the caller's.
ModelInfo describe(const checkpoint::Checkpoint& file, const arch::Recognised& model, const LoadPlan& plan);

/// Bytes of the routed experts that one token reads, by the numbers in info.config.
std::int64_t touched_expert_bytes(const ModelInfo& info);

/// True for a directory that holds a config.json and no safetensors file.
bool is_config_only(const std::string& path);
/// Info from the configuration only: sizes in closed form, no formats, weight_bytes 0.
/// Errors: io, bad_file, bad_config, unsupported.
Result<ModelInfo> describe_config_only(const std::string& path);

}  // namespace moe::inline MOE_ABI

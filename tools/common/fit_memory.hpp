#pragma once
// How a program loads a model within its memory: what --memory and --pack-cache come to.

#include <optional>
#include <string>

#include "moe/memory_plan.hpp"
#include "moe/model.hpp"
#include "tools/common/pack_cache.hpp"

namespace cli {

/// Sets LoadOptions::pack and expert_bytes. With a limit (--memory) the model fits into it, or that is an error. Without
/// one, the default limit decides whether experts stay in the packed file (an error if even that is too much); without
/// --pack-cache the model is loaded as it is, with a note if it may not fit. The plan, where one binds the program.
/// Errors: those of Model::inspect and plan_memory, naming the model; unsupported (experts would have to be read, and
/// there is no --pack-cache).
moe::Result<std::optional<moe::MemoryPlan>> fit_memory(std::string_view program, const std::string& model,
                                                       const moe::MemoryRequest& request, const PackCache& pack,
                                                       moe::LoadOptions& load);

/// "experts: 1234 hits, 56 misses, 1.2 GiB read at 800 MB/s"; empty where none were read.
std::string traffic_in_words(const moe::ExpertTraffic& traffic);

}  // namespace cli

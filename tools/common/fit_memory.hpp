#pragma once
// How a program loads a model within its memory: what --memory and --pack-cache come to.

#include <functional>
#include <optional>
#include <string>

#include "moe/memory_plan.hpp"
#include "moe/model.hpp"
#include "tools/common/pack_cache.hpp"

namespace cli {

/// How many processes a launcher (mpirun, srun) has started on this machine, and the variable that says so; 1 and empty
/// where none does.
struct LocalProcesses {
  std::int32_t count = 1;
  std::string variable;
};
LocalProcesses local_processes(const std::function<const char*(const char*)>& environment);

/// moe::default_memory_limit(), divided among the processes of this machine that were started together.
struct DefaultLimit {
  std::int64_t bytes = 0;
  LocalProcesses shared_by;

  /// "80 % of what is free, or of a container's limit, divided by MPI_LOCALNRANKS=3".
  std::string in_words() const;
};
std::optional<DefaultLimit> default_limit();

/// A model, and what it takes when all of it is in memory, with a session as `request` says, whose limit does not count.
struct WholeModel {
  moe::ModelInfo info;
  moe::MemoryPlan plan;
};
/// Errors: those of Model::inspect and plan_memory.
moe::Result<WholeModel> plan_whole(const std::string& model, moe::MemoryRequest request);

/// moe::plan_memory(); where there is no packed file, the error names what is needed with one and without.
moe::Result<moe::MemoryPlan> plan_memory(const moe::ModelInfo& info, moe::MemoryRequest request, const PackCache& pack);

/// Sets LoadOptions::pack and expert_bytes. With a limit (--memory) the model fits into it, or that is an error. Without
/// one, the default limit decides whether experts stay in the packed file (an error if even that is too much); without
/// --pack-cache the model is loaded as it is, with a note if it may not fit. The plan, where one binds the program.
/// Errors: those of Model::inspect and plan_memory, naming the model.
moe::Result<std::optional<moe::MemoryPlan>> fit_memory(std::string_view program, const std::string& model,
                                                       const moe::MemoryRequest& request, const PackCache& pack,
                                                       moe::LoadOptions& load);

/// "experts: 1234 hits, 56 misses, 1.2 GiB read at 800 MB/s"; empty where none were read.
std::string traffic_in_words(const moe::ExpertTraffic& traffic);

}  // namespace cli

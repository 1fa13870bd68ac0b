#pragma once
// How a model fits into a given amount of memory, computed from headers before anything is read.

#include <cstdint>
#include <optional>

#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI {

struct MemoryRequest {
  std::int64_t limit = 0;  ///< bytes of the whole process; 0: default_memory_limit()
  /// kv, threads, max_tokens (of whole passes: the least of the cache) and chunk_tokens (the most of a step) are used.
  SessionOptions session = {};
  /// Scoring: the tokens of a step are as many as make the bytes to read per token the fewest. Otherwise replies: they
  /// are as many as allowed and as fit.
  bool whole_passes = false;
  bool mtp = false;                 ///< with the MTP layer (LoadOptions::mtp) and a session of it
  ExpertOptions experts = {};       ///< as of Model::with_experts: more experts per token need more room
  std::int64_t reserved_bytes = 0;  ///< of the limit, for what else the process holds, such as another model
  bool without_pack = false;        ///< all experts have to be in memory: there is no packed file to read them from
};

/// Of MemoryPlan::other_bytes: the program with its stacks and libraries.
inline constexpr std::int64_t kProgramBytes = std::int64_t{64} << 20;

/// Bytes, all of one process.
struct MemoryPlan {
  std::int64_t limit = 0;
  std::int64_t weight_bytes = 0;   ///< what is always in memory: all weights, or all but routed experts
  std::int64_t expert_bytes = 0;   ///< LoadOptions::expert_bytes; 0 where all experts are in memory
  std::int64_t cache_bytes = 0;    ///< keys and values of `cache_tokens`, and recurrent states
  std::int64_t state_bytes = 0;    ///< recurrent states, of cache_bytes: SessionOptions::state_bytes; 0: no hybrid
  std::int64_t scratch_bytes = 0;  ///< activations of `chunk_tokens`
  std::int64_t other_bytes = 0;    ///< logits, tokenizer, program, and what the request reserved
  bool streams_experts = false;    ///< they do not fit: a packed file is needed to read them from
  std::int64_t chunk_tokens = 0, cache_tokens = 0;
  std::int64_t all_expert_bytes = 0;   ///< of all routed experts
  std::int64_t kept_expert_bytes = 0;  ///< of those, what stays in memory from step to step

  std::int64_t total_bytes() const { return weight_bytes + expert_bytes + cache_bytes + scratch_bytes + other_bytes; }
  /// What the model takes in a process that holds another one as well: without the program itself.
  std::int64_t bytes_beside_another() const { return total_bytes() - kProgramBytes; }
  /// Read by a step that needs every expert.
  std::int64_t pass_bytes() const { return streams_experts ? all_expert_bytes - kept_expert_bytes : 0; }
};

/// Errors: out_of_memory, naming the limit and the least that works; bad_argument (options of the session); bad_config
/// (as with_experts).
MOE_API Result<MemoryPlan> plan_memory(const ModelInfo& info, const MemoryRequest& request);

/// The least limits with which plan_memory() has a plan.
struct LeastMemory {
  std::int64_t resident = 0;  ///< with all weights in memory
  std::int64_t streamed = 0;  ///< with routed experts in a packed file, where that is less
};
/// The request's limit and without_pack do not count. Errors: bad_argument, bad_config, as plan_memory().
MOE_API Result<LeastMemory> least_memory(const ModelInfo& info, const MemoryRequest& request);

/// 80 % of what is available: of the machine's memory, or of the limit of a control group (version 1 or 2) if that is
/// less. None where neither can be read.
MOE_API std::optional<std::int64_t> default_memory_limit();

/// PackedSizes of a model whose weights are not here, as if every matrix were in `format`. Routers are float32.
MOE_API PackedSizes assumed_sizes(const ModelConfig& config, Format format);

}  // namespace moe::inline MOE_ABI

#include "model/session_options.hpp"

#include <fmt/format.h>

#include "model/forward.hpp"
#include "model/sequence_states.hpp"
#include "support/thread_check.hpp"

namespace moe::inline MOE_ABI {

Result<void> Session::check(const SessionOptions& options) {
  if (options.chunk_tokens < 1 || options.chunk_tokens > kMaxChunkTokens)
    return fail(ErrorCode::bad_argument,
                fmt::format("chunk_tokens is {}, expected 1 to {}", options.chunk_tokens, kMaxChunkTokens));
  if (options.max_tokens < 0 || options.max_tokens > kMaxTokens)
    return fail(ErrorCode::bad_argument,
                fmt::format("max_tokens is {}, expected 0 to {}", options.max_tokens, kMaxTokens));
  if (options.checkpoint_tokens < 1 || options.checkpoint_tokens > kMaxTokens)
    return fail(ErrorCode::bad_argument,
                fmt::format("checkpoint_tokens is {}, expected 1 to {}", options.checkpoint_tokens, kMaxTokens));
  if (options.state_bytes < 0)
    return fail(ErrorCode::bad_argument, fmt::format("state_bytes is {}, expected 0 or more", options.state_bytes));
  if (options.precision != Precision::automatic && options.precision != Precision::reference)
    return fail(ErrorCode::bad_argument, fmt::format("precision is {}, expected one of Precision's values",
                                                     static_cast<int>(options.precision)));
  if (name_of(options.kv).empty())
    return fail(ErrorCode::bad_argument,
                fmt::format("kv is {}, expected one of KvType's values", static_cast<int>(options.kv)));
  return check_workers(options.threads);
}

namespace {

MemoryEstimate estimate(const ModelConfig& c, const SessionOptions& options, const LayerRange& layers, bool streams) {
  const std::int64_t pages = (cache_tokens(c, options) + kPageTokens - 1) / kPageTokens;
  return {.weight_bytes = 0,
          .cache_bytes = pages * PageLayout(c, options.kv, layers).page_bytes,
          .scratch_bytes = scratch_bytes(c, step_shape(options, streams)),
          .state_bytes = SequenceStates::most_bytes(detail::StateLayout(c), options)};
}

}  // namespace

MemoryEstimate Session::estimate_memory(const ModelInfo& info, const SessionOptions& options) {
  MemoryEstimate memory = estimate(info.config, options, {0, info.config.layer_count}, false);
  memory.weight_bytes = info.weight_bytes;
  return memory;
}

MemoryEstimate Session::estimate_memory(const Model& model, const SessionOptions& options) {
  MemoryEstimate memory = estimate(model.config(), options, model.layers(), impl_of(model).experts != nullptr);
  memory.weight_bytes = model.resident_bytes() + model.expert_traffic().memory_bytes;
  return memory;
}

}  // namespace moe::inline MOE_ABI

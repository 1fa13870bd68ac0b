#pragma once
// What reading routed experts from a file cost, for a model whose experts are not all in memory.

#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Since the model was loaded, over all of its sessions. All 0 for a model whose experts are in memory.
struct ExpertTraffic {
  std::int64_t hits = 0;          ///< an expert that a layer's step needed was in memory
  std::int64_t misses = 0;        ///< it was not; reads ahead count here too
  std::int64_t read_bytes = 0;    ///< of whole bundles: gate, up and down of one expert
  std::int64_t unused_bytes = 0;  ///< of those, read ahead and not needed
  std::int64_t read_ns = 0;       ///< time in which at least one read was under way
  std::int64_t wait_ns = 0;       ///< time in which a session could not go on without an expert
  std::int64_t memory_bytes = 0;  ///< the slots that experts are kept in

  /// The same memory, later: memory_bytes is that of `o`.
  ExpertTraffic& operator+=(const ExpertTraffic& o) {
    hits += o.hits, misses += o.misses, read_bytes += o.read_bytes, unused_bytes += o.unused_bytes;
    read_ns += o.read_ns, wait_ns += o.wait_ns, memory_bytes = o.memory_bytes;
    return *this;
  }
  ExpertTraffic operator-(const ExpertTraffic& o) const {
    return {hits - o.hits,
            misses - o.misses,
            read_bytes - o.read_bytes,
            unused_bytes - o.unused_bytes,
            read_ns - o.read_ns,
            wait_ns - o.wait_ns,
            memory_bytes};
  }
};

}  // namespace moe::inline MOE_ABI

#pragma once
// Blocks of recurrent states: counted references, and a limit above which the least recently used ones are forgotten.

#include <cstdint>
#include <vector>

#include "moe/tensor.hpp"

namespace moe::inline MOE_ABI {

class StatePool {
 public:
  /// A block, and how often its memory had been given away when it was taken. A forgotten block has another number.
  struct Handle {
    std::int32_t block = -1;
    std::uint32_t generation = 0;
  };

  StatePool(std::int64_t floats, std::int64_t block_limit) : floats_(floats), limit_(block_limit) {}

  /// A block of unspecified contents with one reference, pinned. Forgets another one when the limit is reached, unless
  /// all are pinned. Errors: out_of_memory.
  Result<Handle> take();
  /// False: the block has been forgotten.
  bool is_held(Handle handle) const;
  bool has_one_reference(Handle handle) const;
  void share(Handle handle);
  /// Does nothing if the block has been forgotten.
  void release(Handle handle);
  /// Pinned blocks are not forgotten. Pins are not counted; they end with unpin_all().
  void pin(Handle handle);
  void unpin_all();
  float* data(Handle handle) const { return blocks_[static_cast<std::size_t>(handle.block)].memory.data(); }

  std::int64_t block_limit() const { return limit_; }
  std::int64_t pinned_count() const { return static_cast<std::int64_t>(pinned_.size()); }
  std::int64_t bytes() const;  ///< of all blocks made so far

 private:
  struct Block {
    mutable AlignedBuffer<float> memory;
    std::uint32_t generation = 0;
    std::int32_t references = 0;
    bool pinned = false;
    std::int64_t used = 0;  // when, in takes and pins
  };
  std::int32_t oldest() const;

  std::int64_t floats_ = 0, limit_ = 0, clock_ = 0;
  std::vector<Block> blocks_;
  std::vector<std::int32_t> free_, pinned_;
};

}  // namespace moe::inline MOE_ABI

#include "model/state_pool.hpp"

namespace moe::inline MOE_ABI {

std::int32_t StatePool::oldest() const {
  std::int32_t best = -1;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& b = blocks_[i];
    if (b.references == 0 || b.pinned) continue;
    if (best < 0 || b.used < blocks_[static_cast<std::size_t>(best)].used) best = static_cast<std::int32_t>(i);
  }
  return best;
}

Result<StatePool::Handle> StatePool::take() {
  std::int32_t index = -1;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (static_cast<std::int64_t>(blocks_.size()) >= limit_ && (index = oldest()) >= 0) {
    blocks_[static_cast<std::size_t>(index)].generation += 1;
  } else {
    auto memory = AlignedBuffer<float>::create(static_cast<std::size_t>(floats_));
    if (!memory) return forward(memory);
    // Room for all blocks first: release() and pin() never allocate.
    free_.reserve(blocks_.size() + 1);
    pinned_.reserve(blocks_.size() + 1);
    blocks_.emplace_back().memory = std::move(*memory);
    index = static_cast<std::int32_t>(blocks_.size()) - 1;
  }
  Block& b = blocks_[static_cast<std::size_t>(index)];
  b.references = 1;
  const Handle handle{index, b.generation};
  pin(handle);
  return handle;
}

bool StatePool::is_held(Handle handle) const {
  if (handle.block < 0) return false;
  const Block& b = blocks_[static_cast<std::size_t>(handle.block)];
  return b.generation == handle.generation && b.references > 0;
}

bool StatePool::has_one_reference(Handle handle) const {
  return is_held(handle) && blocks_[static_cast<std::size_t>(handle.block)].references == 1;
}

void StatePool::share(Handle handle) {
  if (is_held(handle)) blocks_[static_cast<std::size_t>(handle.block)].references += 1;
}

void StatePool::release(Handle handle) {
  if (!is_held(handle)) return;
  Block& b = blocks_[static_cast<std::size_t>(handle.block)];
  if (--b.references > 0) return;
  b.generation += 1;
  free_.push_back(handle.block);
}

void StatePool::pin(Handle handle) {
  Block& b = blocks_[static_cast<std::size_t>(handle.block)];
  b.used = ++clock_;
  if (b.pinned) return;
  b.pinned = true;
  pinned_.push_back(handle.block);
}

void StatePool::unpin_all() {
  for (const std::int32_t block : pinned_) blocks_[static_cast<std::size_t>(block)].pinned = false;
  pinned_.clear();
}

std::int64_t StatePool::bytes() const {
  return static_cast<std::int64_t>(blocks_.size()) * floats_ * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace moe::inline MOE_ABI

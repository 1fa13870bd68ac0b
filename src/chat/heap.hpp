#pragma once
// Counts the memory of values. An object that was made while rendering gives back what it took when it dies.

#include <cstddef>
#include <memory>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

struct Heap {
  std::size_t used = 0;
};

/// What a value may point to.
class Object {
 public:
  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() {
    if (heap_ != nullptr) heap_->used -= charged_;
  }
  /// Called once, by the run that made the object; objects from outside a run are nobody's charge.
  void charge(Heap& heap, std::size_t bytes) {
    heap_ = &heap;
    charged_ = bytes;
    heap.used += bytes;
  }

 private:
  Heap* heap_ = nullptr;
  std::size_t charged_ = 0;
};

/// An object that can hold itself by way of others; the end of the run empties it.
class Clearable : public Object {
 public:
  virtual void clear() = 0;
};

}  // namespace moe::inline MOE_ABI::chat

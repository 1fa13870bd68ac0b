#pragma once
// Counts the memory of values. An object created while rendering releases its share when it is destroyed.

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
  /// Called once, by the run that created the object; objects from outside a run are not counted.
  void charge(Heap& heap, std::size_t bytes) {
    heap_ = &heap;
    charged_ = bytes;
    heap.used += bytes;
  }

 private:
  Heap* heap_ = nullptr;
  std::size_t charged_ = 0;
};

/// An object that may be part of a reference cycle; it is cleared at the end of the run.
class Clearable : public Object {
 public:
  virtual void clear() = 0;
};

}  // namespace moe::inline MOE_ABI::chat

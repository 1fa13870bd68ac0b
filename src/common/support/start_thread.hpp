#pragma once
// Threads of the library's own and of programs: an error value where the system refuses, and no signals, which are for
// the host's.

#include <pthread.h>

#include <cstdint>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Starts `body(argument)` in a new thread with all signals blocked. std::thread would throw.
/// Errors: io, naming `what` the thread is for.
Result<pthread_t> start_thread(const char* what, void* (*body)(void*), void* argument);

/// The same for `count` threads that run (object->*Body)(). Those that were started are in `threads`, also on an error.
template <auto Body, class T>
Result<void> start_threads(const char* what, std::int32_t count, T* object, std::vector<pthread_t>& threads) {
  for (std::int32_t i = 0; i < count; ++i) {
    const auto body = [](void* p) -> void* {
      (static_cast<T*>(p)->*Body)();
      return nullptr;
    };
    const auto thread = start_thread(what, body, object);
    if (!thread) return forward(thread);
    threads.push_back(*thread);
  }
  return {};
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Threads of the library's own: an error value where the system refuses, and no signals, which are for the host's.

#include <pthread.h>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Starts `body(argument)` in a new thread with all signals blocked. std::thread would throw.
/// Errors: io, naming `what` the thread is for.
Result<pthread_t> start_thread(const char* what, void* (*body)(void*), void* argument);

}  // namespace moe::inline MOE_ABI

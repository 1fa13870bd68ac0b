#include "support/start_thread.hpp"

#include <fmt/format.h>

#include <csignal>

namespace moe::inline MOE_ABI {

Result<pthread_t> start_thread(const char* what, void* (*body)(void*), void* argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread = {};
  const int refused = pthread_create(&thread, nullptr, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (refused != 0)
    return fail(ErrorCode::io, fmt::format("a thread that {} cannot be started: error {}", what, refused));
  return thread;
}

}  // namespace moe::inline MOE_ABI

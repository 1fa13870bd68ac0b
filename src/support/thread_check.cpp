#include "support/thread_check.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>

namespace moe::inline MOE_ABI {
namespace {

struct Waiting {
  pthread_t thread;
  pid_t id = 0;  // the kernel's
  const std::atomic<bool>* end = nullptr;
};

void* wait_for_end(void* argument) {
  auto& self = *static_cast<Waiting*>(argument);
  self.id = static_cast<pid_t>(syscall(SYS_gettid));
  self.end->wait(false);
  return nullptr;
}

// A thread that was joined counts against the limits until the kernel has released it, a few microseconds later: seen
// in 21 of 300,000 joins followed by a start. Not worth more than a second of anybody's time.
void wait_until_released(const Waiting& joined) {
  const auto start = std::chrono::steady_clock::now();
  while (syscall(SYS_tgkill, getpid(), joined.id, 0) == 0 &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(1))
    sched_yield();
}

}  // namespace

// std::thread would throw where pthread_create returns an error.
StartedThreads start_and_end_threads(std::int32_t wanted) {
  std::array<Waiting, kMaxThreads> threads;
  std::atomic<bool> end{false};
  StartedThreads started;
  while (started.count < wanted && started.error == 0) {
    Waiting& next = threads[static_cast<std::size_t>(started.count)];
    next.end = &end;
    started.error = pthread_create(&next.thread, nullptr, wait_for_end, &next);
    if (started.error == 0) ++started.count;
  }
  end = true;
  end.notify_all();
  for (std::int32_t i = 0; i < started.count; ++i) {
    pthread_join(threads[static_cast<std::size_t>(i)].thread, nullptr);
    wait_until_released(threads[static_cast<std::size_t>(i)]);
  }
  return started;
}

}  // namespace moe::inline MOE_ABI

#include "tools/common/interrupt.hpp"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>

#include "moe/unfinished_files.hpp"
#include "tools/common/program.hpp"

namespace cli {

namespace {

// Any thread may get the signal.
std::atomic<std::int64_t> first_ms{0};
std::atomic<bool> must_end{false};  // by a signal other than Ctrl-C
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

extern "C" void on_interrupt(int signal) {
  const int error = errno;
  if (signal != SIGINT) must_end.store(true);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::int64_t now_ms = std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000 + 1;  // never 0
  std::int64_t first = 0;
  if (!first_ms.compare_exchange_strong(first, now_ms) && now_ms - first >= 500) {
    moe::remove_unfinished_files();
    _exit(kInterrupted);
  }
  errno = error;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: blocking calls return and check interrupted()
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  struct sigaction before {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);  // nohup
}

bool interrupted() { return first_ms.load(std::memory_order_relaxed) != 0; }

void take_interrupt_as_request() {
  must_end.store(false);
  first_ms.store(0);
}

bool forget_ctrl_c() {
  if (must_end.load()) return false;
  first_ms.store(0);
  return true;
}

}  // namespace cli

#include "support/thread_check.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <string_view>

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

// A joined thread counts against the limits until the kernel has released it, a few microseconds later (seen in 21 of
// 300,000 joins followed by a start). Retries for at most a second.
void wait_until_released(const Waiting& joined) {
  const auto start = std::chrono::steady_clock::now();
  while (syscall(SYS_tgkill, getpid(), joined.id, 0) == 0 &&
         std::chrono::steady_clock::now() - start < std::chrono::seconds(1))
    sched_yield();
}

/// "number [B|K|M|G]" with white space around either; nothing where it is something else.
std::optional<std::size_t> parse_stack_bytes(std::string_view text) {
  const auto skip_space = [&text] { text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size())); };
  skip_space();
  if (text.starts_with('+')) text.remove_prefix(1);
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return {};
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  skip_space();
  int shift = 10;
  if (!text.empty()) {
    const std::size_t unit = std::string_view("bBkKmMgG").find(text.front());
    if (unit == std::string_view::npos) return {};
    shift = static_cast<int>(unit / 2) * 10;
    text.remove_prefix(1);
    skip_space();
  }
  if (!text.empty() || value << shift >> shift != value) return {};
  return value << shift;
}

/// Attributes of a thread as OpenMP starts it.
class Attributes {
 public:
  Attributes() : made_(pthread_attr_init(&attributes_) == 0) {
    // OpenMP ignores sizes that the system refuses, too.
    if (const std::size_t bytes = openmp_stack_bytes(); made_ && bytes > 0)
      pthread_attr_setstacksize(&attributes_, bytes);
  }
  ~Attributes() {
    if (made_) pthread_attr_destroy(&attributes_);
  }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  const pthread_attr_t* get() const { return made_ ? &attributes_ : nullptr; }

 private:
  pthread_attr_t attributes_;
  bool made_;
};

}  // namespace

std::size_t openmp_stack_bytes() {
  for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE"})
    if (const char* text = std::getenv(name); text != nullptr)
      if (const auto bytes = parse_stack_bytes(text)) return *bytes;
  return 0;
}

// std::thread would throw where pthread_create returns an error.
StartedThreads start_and_end_threads(std::int32_t wanted) {
  std::array<Waiting, kMaxThreads> threads;
  std::atomic<bool> end{false};
  const Attributes attributes;
  StartedThreads started;
  while (started.count < wanted && started.error == 0) {
    Waiting& next = threads[static_cast<std::size_t>(started.count)];
    next.end = &end;
    started.error = pthread_create(&next.thread, attributes.get(), wait_for_end, &next);
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

#include "process.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "errors.hpp"

namespace moe_python {
namespace {

std::atomic<bool> threads_started{false};  // OpenMP's, by a pool of more than one worker
std::atomic<bool> threads_lost{false};     // in a child of os.fork()
std::atomic<bool> ending{false};
std::atomic<std::int64_t> in_flight{0};
std::atomic<std::int64_t> forks{0};

void after_fork_in_child() {
  if (threads_started.load()) threads_lost.store(true);
  in_flight.store(0);  // the other threads do not exist in the child
  forks.fetch_add(1);
}

// Before the interpreter is finalised: cancels native work and waits for it, without the GIL, which that work needs to
// return. Steps that do not check for cancellation in that time are abandoned.
void end_process(bool daemon_threads) {
  // CPython never clears the frames of daemon threads, so objects that they refer to are not leaks of ours.
  if (daemon_threads) nb::set_leak_warnings(false);
  ending.store(true);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  nb::gil_scoped_release released;
  while (in_flight.load() > 0 && std::chrono::steady_clock::now() < limit)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

moe::ParallelFor start_threads(std::int32_t count) {
  check_process();
  const moe::ParallelFor pool = unwrap(moe::start_openmp_pool(count));
  if (pool.worker_count > 1) threads_started.store(true);
  return pool;
}

void check_process() {
  if (threads_lost.load())
    raise(moe::ErrorCode::unsupported,
          "this process came out of os.fork(), and libmoe's threads did not come along: start it with "
          "multiprocessing's \"spawn\", or fork before libmoe is used, or use threads=1 everywhere");
  if (ending.load()) raise(moe::ErrorCode::cancelled, "the interpreter ends");
}

bool process_is_ending() noexcept { return ending.load(std::memory_order_relaxed); }
std::int64_t fork_count() noexcept { return forks.load(); }

InFlight::InFlight() noexcept { in_flight.fetch_add(1); }
InFlight::~InFlight() { in_flight.fetch_sub(1); }

void add_process(nb::module_& m) {
  m.def("after_fork_in_child", after_fork_in_child);
  m.def("end_process", end_process, "daemon_threads"_a);
}

}  // namespace moe_python

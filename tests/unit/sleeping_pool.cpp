// Threads that sleep between tasks: every task runs once, on workers that are not shared, and waiting costs no time.

#include "support/sleeping_pool.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

namespace sleeping_pool_test {

namespace {

std::unique_ptr<moe::SleepingPool> pool_of(std::int32_t workers) {
  auto pool = moe::SleepingPool::create(workers);
  REQUIRE(pool.has_value());
  return std::move(*pool);
}

double processor_seconds() {
  timespec t = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

}  // namespace

TEST_CASE("every task runs once, on a worker of its own, with and without pauses between jobs") {
  for (const std::int32_t workers : {1, 2, 3, 8}) {
    CAPTURE(workers);
    const auto pool = pool_of(workers);
    for (int round = 0; round < 300; ++round) {
      const std::int64_t count = round % 40;
      std::vector<std::atomic<int>> times(static_cast<std::size_t>(count));
      std::vector<std::atomic<int>> inside(static_cast<std::size_t>(workers));
      std::atomic<int> wrong{0};
      moe::parallel_for(pool->pool(), count, [&](std::int64_t i, std::int32_t worker) {
        if (worker < 0 || worker >= workers || inside[static_cast<std::size_t>(worker)]++ != 0) ++wrong;
        ++times[static_cast<std::size_t>(i)];
        if (round % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(30));
        --inside[static_cast<std::size_t>(worker)];
      });
      for (const auto& n : times) wrong += n != 1;
      CHECK(wrong == 0);
      if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // its workers fall asleep
    }
  }
}

TEST_CASE("other workers take tasks") {
  const auto pool = pool_of(3);
  std::vector<std::atomic<int>> tasks(3);
  moe::parallel_for(pool->pool(), 60, [&](std::int64_t, std::int32_t worker) {
    ++tasks[static_cast<std::size_t>(worker)];
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  for (const auto& n : tasks) CHECK(n > 0);
}

TEST_CASE("between jobs nobody spins") {
  const auto pool = pool_of(4);
  const double before = processor_seconds();
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < 20; ++round) {
    moe::parallel_for(pool->pool(), 4, [](std::int64_t, std::int32_t) {});
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double spent = processor_seconds() - before;
  CHECK_MESSAGE(spent < wall / 5, spent, " of ", wall, " s");
}

}  // namespace sleeping_pool_test

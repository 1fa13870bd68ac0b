// Tasks run in order; post() blocks when the queue is full.

#include "serve/task_thread.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <vector>

using moe::serve::TaskThread;

TEST_CASE("tasks run in order, all of them before the end") {
  std::vector<int> done;
  {
    TaskThread thread;
    for (int i = 0; i < 100; ++i) thread.post([&, i] { done.push_back(i); });
  }
  REQUIRE(done.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(done[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a full queue makes its poster wait") {
  std::promise<void> go;
  std::atomic<int> posted = 0, done = 0;
  {
    TaskThread thread(3);
    thread.post([&] { go.get_future().wait(); });
    std::thread poster([&] {
      for (int i = 0; i < 10; ++i, ++posted) thread.post([&] { ++done; });
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(posted <= 3);
    CHECK(done == 0);
    go.set_value();
    poster.join();
  }
  CHECK(posted == 10);
  CHECK(done == 10);
}

TEST_CASE("a task that throws takes nothing with it but itself") {
  std::atomic<int> done = 0;
  {
    TaskThread thread;
    thread.post([] { throw std::bad_alloc(); });
    thread.post([&] { ++done; });
  }
  CHECK(done == 1);
}

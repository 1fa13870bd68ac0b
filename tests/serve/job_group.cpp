// A request pauses while its client has too much unread, or its events are late on their way to the connection.

#include "serve/api/job_group.hpp"

#include <doctest/doctest.h>

#include <map>

using moe::serve::Job;
using moe::serve::JobId;
using moe::serve::JobSink;
using moe::serve::api::JobGroup;

namespace {

struct Queue final : moe::serve::JobQueue {
  moe::Result<void> check(const Job&) const override { return {}; }
  moe::Result<JobId> submit(Job, std::shared_ptr<JobSink>) override { return 0; }
  void cancel(JobId id) override { ++cancelled[id]; }
  void pause(JobId id) override { ++paused[id]; }
  void resume(JobId id) override { --paused[id]; }
  moe::serve::Counters counters() const override { return {}; }

  std::map<JobId, int> paused, cancelled;  // paused: 1 or 0, as calls alternate
};

constexpr std::size_t kEvent = 1000, kLimit = 10 * kEvent;

}  // namespace

TEST_CASE("a request pauses with more events in flight than the limit, and goes on at half of it") {
  Queue queue;
  JobGroup group(queue, kLimit);
  group.add(1);
  group.add(2);
  group.event_left();
  group.event_arrived(kEvent);
  for (int i = 0; i < 10; ++i) group.event_left();
  CHECK(queue.paused[1] == 0);
  group.event_left();
  CHECK(queue.paused[1] == 1);
  CHECK(queue.paused[2] == 1);
  for (int i = 0; i < 5; ++i) group.event_arrived(kEvent);
  CHECK(queue.paused[1] == 1);
  group.event_arrived(kEvent);
  CHECK(queue.paused[1] == 0);
  CHECK(queue.paused[2] == 0);
}

TEST_CASE("the largest event counts for all") {
  Queue queue;
  JobGroup group(queue, kLimit);
  group.add(1);
  for (int i = 0; i < 3; ++i) group.event_left();
  group.event_arrived(6 * kEvent);
  CHECK(queue.paused[1] == 1);
  group.event_arrived(kEvent);
  CHECK(queue.paused[1] == 1);
  group.event_arrived(kEvent);
  CHECK(queue.paused[1] == 0);
}

TEST_CASE("one reason to pause is enough, and a job that comes later pauses too") {
  Queue queue;
  JobGroup group(queue, kLimit);
  group.set_pressed(true);
  group.add(1);
  CHECK(queue.paused[1] == 1);
  group.event_left();
  group.event_arrived(2 * kLimit);
  CHECK(queue.paused[1] == 1);
  group.event_left();
  group.set_pressed(false);
  CHECK(queue.paused[1] == 1);
  group.event_arrived(kEvent);
  CHECK(queue.paused[1] == 0);
}

TEST_CASE("a limit that no event fits in lets one step pass after the other") {
  Queue queue;
  JobGroup group(queue, 0);
  group.add(1);
  for (int i = 0; i < 3; ++i) {
    group.event_left();
    CHECK(queue.paused[1] == 1);
    group.event_arrived(kEvent);
    CHECK(queue.paused[1] == 0);
  }
}

TEST_CASE("cancelled jobs, and those added afterwards") {
  Queue queue;
  JobGroup group(queue, kLimit);
  group.add(1);
  group.cancel();
  group.add(2);
  CHECK(queue.cancelled[1] == 1);
  CHECK(queue.cancelled[2] == 1);
}

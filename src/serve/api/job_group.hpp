#pragma once
// The jobs of one request: stopped together, and paused while their events cannot leave.

#include <cstddef>
#include <mutex>
#include <vector>

#include "serve/job.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// Jobs of one request, to be stopped together. They pause while the client has too much unread, and while events that
/// have not come to its connection would take more than `in_flight_bytes`: on a busy machine the threads between the
/// scheduler and the network can be some steps late. Any thread.
class JobGroup {
 public:
  JobGroup(JobQueue& queue, std::size_t in_flight_bytes) : queue_(queue), in_flight_bytes_(in_flight_bytes) {}
  void add(JobId id);
  void cancel();
  /// The client does not keep up, or it has caught up.
  void set_pressed(bool pressed);
  /// An event is on its way.
  void event_left();
  /// It came to the connection; `largest` is the size of the largest one of the request so far.
  void event_arrived(std::size_t largest);

 private:
  void update();

  JobQueue& queue_;
  const std::size_t in_flight_bytes_;
  std::mutex mutex_;  // of the following members
  std::vector<JobId> ids_;
  std::size_t in_flight_ = 0, largest_event_ = 256;
  bool cancelled_ = false, pressed_ = false, behind_ = false, paused_ = false;
};

}  // namespace moe::inline MOE_ABI::serve::api

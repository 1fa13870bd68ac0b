#include "serve/api/job_group.hpp"

#include <algorithm>
#include <utility>

namespace moe::inline MOE_ABI::serve::api {

void JobGroup::add(JobId id) {
  const std::lock_guard lock(mutex_);
  ids_.push_back(id);
  if (paused_) queue_.pause(id);
  if (cancelled_) queue_.cancel(id);
}
void JobGroup::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  for (const JobId id : ids_) queue_.cancel(id);
}
void JobGroup::set_pressed(bool pressed) {
  const std::lock_guard lock(mutex_);
  pressed_ = pressed;
  update();
}
void JobGroup::event_left() {
  const std::lock_guard lock(mutex_);
  ++in_flight_;
  update();
}
void JobGroup::event_arrived(std::size_t largest) {
  const std::lock_guard lock(mutex_);
  --in_flight_;
  largest_event_ = std::max(largest_event_, largest);
  update();
}
// Held back above the limit, released at half of it.
void JobGroup::update() {
  behind_ = in_flight_ * largest_event_ > (behind_ ? in_flight_bytes_ / 2 : in_flight_bytes_);
  const bool paused = pressed_ || behind_;
  if (std::exchange(paused_, paused) == paused) return;
  for (const JobId id : ids_) paused ? queue_.pause(id) : queue_.resume(id);
}

}  // namespace moe::inline MOE_ABI::serve::api

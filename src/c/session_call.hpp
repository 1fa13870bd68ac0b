#pragma once
// Entries that use a session: one at a time.

#include <utility>

#include "c/handles.hpp"
#include "c/status.hpp"

namespace moe::inline MOE_ABI::c {

/// Runs body(session) unless the handle is null or another call is in it.
template <class Body>
moe_status enter_session(moe_session* session, moe_error* error, Body&& body) {
  return enter(error, [&]() -> Result<void> {
    if (session == nullptr) return null_argument("session");
    if (session->is_busy.exchange(true, std::memory_order_acquire))
      return fail(ErrorCode::bad_argument, "session is in use by another call, expected one call at a time");
    struct Leave {
      moe_session* session;
      ~Leave() { session->is_busy.store(false, std::memory_order_release); }
    } leave{session};
    return std::forward<Body>(body)(*session);
  });
}

}  // namespace moe::inline MOE_ABI::c

#pragma once
// The border between C and C++: errors and exceptions become a status and the caller's moe_error.

#include <cxxabi.h>

#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "moe.h"
#include "moe/error.hpp"

namespace moe::inline MOE_ABI::c {

/// Sets the caller's error, which may be null, and returns the status. Allocates nothing.
moe_status report(moe_error* error, moe_status status, std::string_view message) noexcept;
inline moe_status status_of(ErrorCode code) noexcept { return static_cast<moe_status>(code) + 1; }

/// Runs the body of an entry, Result<void>(), and converts every exception to a status. Only the unwinding of a thread
/// that exits (pthread_exit in a callback) passes, because it must not be stopped.
template <class Body>
moe_status enter(moe_error* error, Body&& body) {
  try {
    const Result<void> done = std::forward<Body>(body)();
    if (done) return report(error, MOE_OK, {});
    return report(error, status_of(done.error().code), done.error().message);
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const std::bad_alloc&) {
    return report(error, MOE_OUT_OF_MEMORY, "an allocation failed");
  } catch (const std::length_error& e) {
    return report(error, MOE_OUT_OF_MEMORY, e.what());
  } catch (const std::exception& e) {
    return report(error, MOE_INTERNAL, e.what());
  } catch (...) {
    return report(error, MOE_INTERNAL, "an unknown exception");
  }
}

inline tl::unexpected<Error> null_argument(const char* name) {
  return fail(ErrorCode::bad_argument, std::string(name) + " is null");
}

}  // namespace moe::inline MOE_ABI::c

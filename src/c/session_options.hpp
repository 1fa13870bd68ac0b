#pragma once
// moe_session_options as the library's SessionOptions.

#include "moe.h"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::c {

/// All of the caller's options except callbacks. Errors: bad_argument.
Result<SessionOptions> session_options(const moe_session_options* given, moe_session_options& read);

}  // namespace moe::inline MOE_ABI::c

#pragma once
// What every error must be that untrusted input leads to.

#include <string>

#include "moe/error.hpp"

namespace moe_test {

/// Empty, or what is wrong with the error itself.
inline std::string complain_about(const moe::Error& error) {
  if (error.message.empty()) return "an error without a message";
  if (error.code == moe::ErrorCode::internal) return "an internal error: " + error.message;
  for (const char c : error.message)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "a message with control characters: " + error.message;
  return {};
}

}  // namespace moe_test

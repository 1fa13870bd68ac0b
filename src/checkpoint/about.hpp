#pragma once
// Errors that name the file they are about.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// The error of `failed`, with the path in front unless its message names it.
template <class T>
tl::unexpected<Error> about(const std::string& path, const Result<T>& failed) {
  const std::string& message = failed.error().message;
  if (message.find(path) != std::string::npos) return forward(failed);
  return fail(failed.error().code, path + ": " + message);
}

}  // namespace moe::inline MOE_ABI::checkpoint

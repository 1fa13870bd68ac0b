#pragma once
// Errors as clients of the OpenAI API read them.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "serve/http/message.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// A refusal: status, message, and what names it to programs.
struct ApiError {
  int status = 400;
  std::string message = {};
  std::string param = {};  ///< the field; empty: null
  std::string code = {};   ///< empty: null
  /// How many tokens there are and there may be, of a context that is too long.
  std::optional<std::pair<std::int64_t, std::int64_t>> tokens = {};
};

/// tl::expected with an ApiError.
template <class T>
using Checked = tl::expected<T, ApiError>;

inline tl::unexpected<ApiError> invalid(std::string_view param, std::string message) {
  return tl::unexpected<ApiError>({400, std::move(message), std::string(param), "invalid_value", {}});
}
template <class T>
tl::unexpected<ApiError> pass_on(const Checked<T>& failed) {
  return tl::unexpected<ApiError>(failed.error());
}

/// What an error of the library or the queue is to a client: its own fault, a full queue, or ours.
ApiError from_library(const Error& error);

/// {"error": {...}}; with `status`, which /health has, {"status": ..., "error": {...}}.
std::string error_body(const ApiError& error, std::string_view status = {});
http::Response error_response(const ApiError& error);

}  // namespace moe::inline MOE_ABI::serve::api

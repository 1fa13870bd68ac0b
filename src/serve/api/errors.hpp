#pragma once
// Errors as clients of the OpenAI API read them.

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "serve/http/message.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// A refusal: status, message, and codes for programs.
struct ApiError {
  int status = 400;
  std::string message = {};
  std::string param = {};  ///< the field; empty: null
  std::string code = {};   ///< empty: null
  /// For contexts that are too long: number of tokens and limit.
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

/// Maps an error of the library or the queue to the client's fault, a full queue, or a server error.
ApiError from_library(const Error& error);

/// Maps an error of a job that was accepted and has begun: none is the client's fault.
ApiError from_running(const Error& error);

/// {"error": {...}}; with `status`, which /health has, {"status": ..., "error": {...}}.
std::string error_body(const ApiError& error, std::string_view status = {});
http::Response error_response(const ApiError& error);

}  // namespace moe::inline MOE_ABI::serve::api

#include "serve/api/errors.hpp"

#include "serve/api/json_out.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

std::string_view type_of(const ApiError& error) {
  if (error.tokens) return "exceed_context_size_error";
  switch (error.status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 500: return "server_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    case 504: return "timeout_error";
    default: return "invalid_request_error";
  }
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

ApiError from_library(const Error& error) {
  switch (error.code) {
    case ErrorCode::bad_argument:
    case ErrorCode::not_found:
    case ErrorCode::unsupported:
    case ErrorCode::bad_file: return {400, error.message, {}, "invalid_value", {}};
    case ErrorCode::out_of_memory: return {429, error.message, {}, "queue_full", {}};
    case ErrorCode::cancelled: return {503, error.message, {}, "draining", {}};
    default: return {500, error.message, {}, std::string(name_of(error.code)), {}};
  }
}

ApiError from_running(const Error& error) {
  switch (error.code) {
    case ErrorCode::cancelled: return from_library(error);
    case ErrorCode::out_of_memory: return {503, error.message, {}, "out_of_memory", {}};
    default: return {500, error.message, {}, std::string(name_of(error.code)), {}};
  }
}

std::string error_body(const ApiError& error, std::string_view status) {
  Json inner = {{"message", error.message},
                {"type", type_of(error)},
                {"param", text_or_null(error.param)},
                {"code", text_or_null(error.code)}};
  if (error.tokens) {
    inner["n_prompt_tokens"] = error.tokens->first;
    inner["n_ctx"] = error.tokens->second;
  }
  Json body = Json::object();
  if (!status.empty()) body["status"] = status;
  body["error"] = std::move(inner);
  return json_text(body);
}

http::Response error_response(const ApiError& error) {
  http::Response response{error.status, error_body(error), "application/json", {}};
  if (error.status == 429 || error.status == 503) response.headers.push_back({"Retry-After", "1"});
  // Prevents openai-python from retrying a request that would time out again.
  if (error.status == 504) response.headers.push_back({"x-should-retry", "false"});
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  return response;
}

}  // namespace moe::inline MOE_ABI::serve::api

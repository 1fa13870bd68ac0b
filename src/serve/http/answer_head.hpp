#pragma once
// The parts of an answer that depend only on the request's head: refusals, and headers.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/http/server.hpp"

namespace moe::inline MOE_ABI::serve::http {

/// Checks Host, path, method, Content-Type, Expect, then the handler's own conditions.
std::optional<Response> check_request(Request& request, const Options& options, bool host_is_loopback,
                                      Handler& handler);

/// x-request-id as the client sent it, if it is usable.
std::string request_id(const Request& request, std::uint64_t number);

struct AnswerHead {
  int status = 200;
  std::string_view type = {};
  const std::vector<Header>* headers = nullptr;
  bool close = false;
  std::optional<std::size_t> length = {};
  bool chunked = false;
};
std::string answer_head(const AnswerHead& head, const Request& request, const Options& options);

}  // namespace moe::inline MOE_ABI::serve::http

#include "serve/http/answer_head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "serve/http/head_check.hpp"

namespace moe::inline MOE_ABI::serve::http {
namespace {

// Against DNS rebinding: a foreign page can reach this server by a domain that resolves to 127.0.0.1, as its Host
// shows.
bool is_own_host(const Request& request, const Options& options) {
  const std::string* host = request.header("host");
  if (host == nullptr) return !request.is_http_1_1;
  const auto name = host_name(*host);
  if (!name) return false;
  constexpr std::array<std::string_view, 3> kAlways{"localhost", "127.0.0.1", "[::1]"};
  const auto is_name = [&](std::string_view own) { return equal_ignoring_case(*name, own); };
  return std::any_of(kAlways.begin(), kAlways.end(), is_name) ||
         std::any_of(options.hosts.begin(), options.hosts.end(), is_name);
}

bool has_method(std::string_view list, std::string_view method) {
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find(", ", at), list.size());
    if (list.substr(at, end - at) == method) return true;
    at = end + 2;
  }
  return false;
}

bool is_json(const std::string& type) {
  const auto media = std::string_view(type).substr(0, std::min(type.find_first_of("; \t"), type.size()));
  return equal_ignoring_case(media, "application/json");
}

Response with_allow(Response response, std::string_view methods) {
  std::string allow(methods);
  if (has_method(methods, "GET")) allow += ", HEAD";
  response.headers.push_back({"Allow", allow + ", OPTIONS"});
  return response;
}

std::string clean(std::string_view value) {
  std::string out(value);
  std::erase_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  return out;
}

bool is_list_of_names(std::string_view list) {
  for (;;) {
    const std::size_t end = std::min(list.find(','), list.size());
    auto name = list.substr(0, end);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (!is_token(name)) return false;
    if (end == list.size()) return true;
    list.remove_prefix(end + 1);
  }
}

// What the page's preflight asks for, as clients add headers of their own (x-stainless-*).
std::string_view allowed_headers(const Request& request) {
  constexpr std::size_t kMostBytes = 512;
  const std::string* asked = request.header("access-control-request-headers");
  if (asked != nullptr && asked->size() <= kMostBytes && is_list_of_names(*asked)) return *asked;
  return "Authorization, Content-Type, X-Request-Id";
}

void add_cors(std::string& out, const Request& request, const Options& options) {
  if (options.cors_origin.empty()) return;
  out += "Access-Control-Allow-Origin: " + clean(options.cors_origin) + "\r\nVary: Origin\r\n";
  if (request.method == "OPTIONS")
    out += fmt::format(
        "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\nAccess-Control-Allow-Headers: {}\r\n"
        "Access-Control-Max-Age: 600\r\n",
        allowed_headers(request));
  else
    out += "Access-Control-Expose-Headers: x-request-id, x-moe-ignored, x-should-retry, Retry-After\r\n";
}

}  // namespace

std::optional<Response> check_request(Request& request, const Options& options, bool host_is_loopback,
                                      Handler& handler) {
  if (host_is_loopback && !is_own_host(request, options))
    return handler.error(403, "Host is not a name of this server at its loopback address");
  const std::string_view methods = handler.methods(request.path);
  if (request.method == "OPTIONS" && (!methods.empty() || request.path == "*"))
    return with_allow({.status = 204}, methods.empty() ? "GET, POST" : methods);
  if (methods.empty()) return handler.error(404, "there is no " + request.path.substr(0, 200));
  const std::string_view method = request.method == "HEAD" ? std::string_view("GET") : request.method;
  if (!has_method(methods, method))
    return with_allow(handler.error(405, request.path + " takes " + std::string(methods)), methods);
  if (method == "POST") {
    const std::string* type = request.header("content-type");
    if (type == nullptr) return handler.error(415, "there is no Content-Type header, expected application/json");
    if (!is_json(*type))
      return handler.error(415, "Content-Type is " + type->substr(0, 100) + ", expected application/json");
  }
  const std::string* expect = request.header("expect");
  if (expect != nullptr && !equal_ignoring_case(*expect, "100-continue"))
    return handler.error(417, "Expect is not 100-continue");
  return handler.refuse(request);
}

std::string request_id(const Request& request, std::uint64_t number) {
  const std::string* sent = request.header("x-request-id");
  if (sent != nullptr && !sent->empty() && sent->size() <= 64 &&
      std::all_of(sent->begin(), sent->end(), [](char c) { return c > ' ' && c < 0x7F; }))
    return *sent;
  return fmt::format("req-{}", number);
}

std::string answer_head(const AnswerHead& head, const Request& request, const Options& options) {
  std::string out = fmt::format("HTTP/1.1 {} {}\r\n", head.status, reason_phrase(head.status));
  if (head.status != 204) out += fmt::format("Content-Type: {}\r\n", head.type);
  if (head.status != 204 && head.length) out += fmt::format("Content-Length: {}\r\n", *head.length);
  if (head.chunked) out += "Transfer-Encoding: chunked\r\n";
  if (head.close)
    out += "Connection: close\r\n";
  else if (!request.is_http_1_1)
    out += "Connection: keep-alive\r\n";
  out += fmt::format("x-request-id: {}\r\n", request.id);
  for (const Header& h : *head.headers) out += fmt::format("{}: {}\r\n", h.name, clean(h.value));
  add_cors(out, request, options);
  return out + "\r\n";
}

}  // namespace moe::inline MOE_ABI::serve::http

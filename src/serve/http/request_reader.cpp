#include "serve/http/request_reader.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/dynamic_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace moe::inline MOE_ABI::serve::http {

namespace beast = boost::beast;

// Not string_body, which allocates Content-Length bytes before any of them have arrived.
struct RequestReader::Parser {
  beast::http::request_parser<beast::http::basic_dynamic_body<beast::flat_buffer>> beast;
};

RequestReader::RequestReader(std::size_t max_body) : max_body_(max_body) { next(); }
RequestReader::~RequestReader() = default;

void RequestReader::next() {
  parser_ = std::make_unique<Parser>();
  parser_->beast.body_limit(max_body_);
  parser_->beast.header_limit(static_cast<std::uint32_t>(2 * kHeadBytes));
  chunks_ = {};
  checked_ = head_bytes_ = body_bytes_ = 0;
  state_ = State::head;
  may_read_body_ = has_body_ = false;
  keep_alive_ = true;
  request_ = {};
}

std::optional<Fault> RequestReader::read() {
  if (state_ == State::head)
    if (auto fault = read_head()) return fault;
  if (state_ == State::body && may_read_body_) return read_body();
  return {};
}

std::optional<Fault> RequestReader::read_head() {
  while (in_.starts_with("\r\n")) in_.erase(0, 2);  // RFC 9112, section 2.2
  if (auto fault = check_size(in_)) return fault;
  const std::size_t end = in_.find("\r\n\r\n");
  if (end == std::string::npos) {
    // No need to wait for what can no longer become right: "\n\n" never ends a head here.
    const std::size_t line = in_.find('\n');
    if (line != std::string::npos && (line == 0 || in_[line - 1] != '\r'))
      return Fault{400, "a line of the head does not end with CR LF"};
    return {};
  }
  const auto head = std::string_view(in_).substr(0, end + 4);
  if (auto fault = check_head(head)) return fault;
  if (auto fault = take_head(head)) return fault;
  head_bytes_ = end + 4;
  in_.erase(0, head_bytes_);
  return {};
}

std::optional<Fault> RequestReader::take_head(std::string_view head) {
  auto& beast = parser_->beast;
  beast::error_code error;
  beast.eager(false);
  beast.put(boost::asio::buffer(head.data(), head.size()), error);
  if (error == beast::http::error::body_limit) return Fault{413, "the body is longer than the limit"};
  if ((error && error != beast::http::error::need_more) || !beast.is_header_done())
    return Fault{400, "the head is no request of HTTP: " + (error ? error.message() : std::string("it does not end"))};
  const auto& message = beast.get();
  request_.arrived = std::chrono::steady_clock::now();
  request_.method = std::string(message.method_string());
  const std::string target(message.target());
  const std::size_t query = std::min(target.find('?'), target.size());
  request_.path = target.substr(0, query);
  if (query < target.size()) request_.query = target.substr(query + 1);
  request_.is_http_1_1 = message.version() == 11;
  for (const auto& field : message)
    request_.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  keep_alive_ = message.keep_alive();
  // GET may have a body, which is read and ignored.
  has_body_ = beast.chunked() || beast.content_length().value_or(0) > 0;
  state_ = has_body_ ? State::body : State::complete;
  beast.eager(true);
  return {};
}

std::optional<Fault> RequestReader::read_body() {
  auto& beast = parser_->beast;
  if (beast.chunked()) {
    if (!chunks_.see(std::string_view(in_).substr(checked_))) return Fault{400, std::string(chunks_.wrong())};
    checked_ = in_.size();
  }
  std::size_t used = 0;
  beast::error_code error;
  while (used < in_.size() && !beast.is_done()) {
    const std::size_t n = beast.put(boost::asio::buffer(in_.data() + used, in_.size() - used), error);
    used += n;
    if (error == beast::http::error::need_more) break;
    if (error == beast::http::error::body_limit) return Fault{413, "the body is longer than the limit"};
    if (error) return Fault{400, "the body is not framed as HTTP frames it: " + error.message()};
    if (n == 0) break;
  }
  in_.erase(0, used);
  checked_ -= std::min(checked_, used);
  body_bytes_ += used;
  if (!beast.is_done()) return {};
  const auto data = beast.get().body().data();
  request_.body.assign(static_cast<const char*>(data.data()), data.size());
  parser_.reset();  // next() makes another one; this one's copy of the body would stay until the answer is written
  state_ = State::complete;
  return {};
}

}  // namespace moe::inline MOE_ABI::serve::http

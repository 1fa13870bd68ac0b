#pragma once
// Bytes to requests: the checks of head_check.hpp in front of Boost.Beast's parser.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "serve/http/head_check.hpp"
#include "serve/http/message.hpp"

namespace moe::inline MOE_ABI::serve::http {

/// Reads one request after the other. Bytes after a request wait for next().
class RequestReader {
 public:
  enum class State { head, body, complete };

  explicit RequestReader(std::size_t max_body);
  ~RequestReader();

  void append(std::string_view bytes) { in_.append(bytes); }
  std::size_t waiting_bytes() const { return in_.size(); }
  /// Reads as far as it gets, but not beyond the end of the head before go_on(). A fault ends the connection.
  std::optional<Fault> read();
  /// The head is accepted: the body may be read.
  void go_on() { may_read_body_ = true; }
  /// Begins with the next request.
  void next();

  State state() const { return state_; }
  bool has_body() const { return has_body_; }
  bool keeps_alive() const { return keep_alive_; }
  std::size_t body_bytes() const { return body_bytes_; }
  std::size_t head_bytes() const { return head_bytes_; }
  /// Of the head; the body is there when state() is complete.
  Request& request() { return request_; }

 private:
  struct Parser;
  std::optional<Fault> read_head();
  std::optional<Fault> read_body();
  std::optional<Fault> take_head(std::string_view head);

  std::size_t max_body_;
  std::string in_;
  std::unique_ptr<Parser> parser_;
  ChunkCheck chunks_;
  std::size_t checked_ = 0;  // bytes of in_ that chunks_ has seen
  std::size_t head_bytes_ = 0, body_bytes_ = 0;
  State state_ = State::head;
  bool may_read_body_ = false, has_body_ = false, keep_alive_ = true;
  Request request_;
};

}  // namespace moe::inline MOE_ABI::serve::http

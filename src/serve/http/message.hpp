#pragma once
// Requests and answers of HTTP/1.1 as values, independent of sockets and models.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::serve::http {

struct Header {
  std::string name = {}, value = {};
};

struct Request {
  std::string method = {}, path = {}, query = {};
  std::vector<Header> headers = {};
  std::string body = {};
  /// x-request-id if the client sent a usable one (at most 64 printable characters of ASCII), else a generated one.
  std::string id = {};
  bool is_http_1_1 = true;
  std::chrono::steady_clock::time_point arrived = {};
  std::shared_ptr<void> notes = {};  ///< data of the handler, from refuse() to on_answered()

  /// The first header of that name, in any case; nullptr where there is none.
  const std::string* header(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string body = {};
  std::string type = "application/json";
  std::vector<Header> headers = {};
};

/// The head of an answer whose body comes in pieces.
struct StreamHead {
  std::string type = {};
  std::vector<Header> headers = {};
  std::string idle_text = {};  ///< sent after a period of silence; empty: nothing
};

/// Events of the receiver of an answer. Called by the I/O thread; must not block.
struct ResponderEvents {
  std::function<void()> gone = {};          ///< the client has disconnected, or does not read: nothing more can be sent
  std::function<void(bool)> pressure = {};  ///< true: it does not keep up; false: it caught up
};

/// Sends the answer to one request. Copies are equivalent; every function may be called from any thread, and calls of
/// one thread take effect in order. Calls after the answer, or after the client has disconnected, are ignored.
class Responder {
 public:
  class Target;
  explicit Responder(std::shared_ptr<Target> target) : target_(std::move(target)) {}

  void answer(Response response) const;
  void start(StreamHead head) const;
  void send(std::string text) const;
  void finish() const;
  /// Calls it in the I/O thread when the connection has what was sent before; never if the connection is gone.
  void when_sent(std::function<void()> done) const;
  /// Ends a stream so that the client sees that it is incomplete.
  void abort() const;
  /// Replaces the listener. `gone` is called at once if the client has already disconnected.
  void listen(ResponderEvents events) const;

 private:
  std::shared_ptr<Target> target_;
};

/// An answer that was sent, or could not be sent.
struct Record {
  const Request* request = nullptr;  ///< method and path are empty where no head could be read
  int status = 0;                    ///< 499: the client disconnected before the end
  std::size_t bytes = 0;             ///< of the body, written
  double seconds = 0;                ///< from the request's last byte of the head to the answer's last
};

/// The application behind the server. All calls come from the I/O thread; none may block.
class Handler {
 public:
  virtual ~Handler() = default;
  /// "GET" or "POST" or both, "GET, POST"; empty if there is no such path. HEAD, OPTIONS and 405 follow from it.
  virtual std::string_view methods(std::string_view path) const = 0;
  /// Before the body is read: an answer refuses the request.
  virtual std::optional<Response> refuse(Request& request) = 0;
  virtual void handle(Request request, Responder responder) = 0;
  /// The body of a refusal by the server itself.
  virtual Response error(int status, std::string_view message) const = 0;
  /// The last event of a stream that the server ends early.
  virtual std::string stream_error(int status, std::string_view message) const = 0;
  virtual void on_answered(const Record& /*record*/) {}
  /// Nothing new is accepted from now on.
  virtual void on_stopping() {}
};

std::string_view reason_phrase(int status);
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace moe::inline MOE_ABI::serve::http

#pragma once
// An HTTP/1.1 server on one thread, with the rules of docs/SERVING.md. A Handler provides the answers.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/http/message.hpp"

namespace moe::inline MOE_ABI::serve::http {

struct Options {
  std::vector<std::string> hosts = {"127.0.0.1"};  ///< at least one
  std::uint16_t port = 8080;                       ///< of all; 0: any that is free
  std::size_t max_body = 16u << 20;
  std::size_t max_connections = 1024;
  std::string cors_origin = {};  ///< empty: no CORS headers
  double idle_seconds = 75;      ///< between requests: longer than clients keep a connection, so that they close first
  double head_seconds = 10;
  double stall_seconds = 30;   ///< a client that reads nothing for so long is dropped
  double ping_seconds = 15;    ///< of silence in a stream, then StreamHead::idle_text
  double request_seconds = 0;  ///< a request that takes longer ends with 504; 0: no limit
  /// Memory of all unanswered requests; the same limit again for all answers that clients have not read.
  std::size_t buffer_bytes = std::size_t{1} << 30;
  /// Called about ten times a second: true means stop().
  std::function<bool()> stopping = {};
};

/// Now.
struct Gauges {
  std::size_t connections = 0, input_bytes = 0, output_bytes = 0;
};

class Server {
 public:
  /// Binds and listens. `handler` must outlive this. Errors: io, naming address and port; bad_argument.
  static Result<std::unique_ptr<Server>> create(const Options& options, Handler& handler);
  virtual ~Server() = default;

  virtual std::uint16_t port() const = 0;
  /// Runs the I/O in the calling thread. Returns after stop(), when all answers are written; after `drain_seconds`,
  /// incomplete ones end with an error.
  virtual Result<void> run(double drain_seconds) = 0;
  /// Any thread: no new connections, and run() returns.
  virtual void stop() = 0;
  /// Any thread.
  virtual void post(std::function<void()> task) = 0;
  /// I/O thread.
  virtual Gauges gauges() const = 0;
  virtual bool is_stopping() const = 0;
};

}  // namespace moe::inline MOE_ABI::serve::http

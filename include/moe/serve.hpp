#pragma once
// A server that answers the requests of the OpenAI API with one model (docs/SERVING.md), for a host to run. It stands in
// a library of its own, moe::serve, which needs Boost's headers to be built.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::serve {

struct ServerOptions {
  std::string host = "127.0.0.1";  ///< a name or an address; the loopback addresses take requests for themselves alone
  std::uint16_t port = 8080;       ///< 0: any that is free; Server::port() says which
  std::vector<std::string> names = {};  ///< of the model in requests and answers; at least one
  bool any_model_name = false;          ///< requests may name any model
  std::string revision = {};            ///< of the program, for /version

  /// Of what the model is run with. `cancelled` and `on_progress` stay empty; `max_tokens` is the cache of all requests
  /// together, 0: one context and a page.
  SessionOptions session = {};
  std::int64_t context_tokens = 0;  ///< of one request, prompt and reply; 0: the model's context
  std::int64_t max_queue = 4096;    ///< prompts that wait; more are refused with 429

  std::vector<std::string> api_keys = {};  ///< empty: none is asked for
  std::string cors_origin = {};            ///< of Access-Control-Allow-Origin; empty: no such header
  std::string chat_template_name = {};     ///< of the model's templates; empty: as ChatOptions chooses
  std::string chat_template_text = {};     ///< instead of the model's own
  bool trust_request_template = false;     ///< a request may bring a template of its own
  bool strict = false;                     ///< a field that is not known is an error
  std::string metrics_alias = {};          ///< "vllm" or "llamacpp": metrics once more under their names

  std::size_t max_body_bytes = 16u << 20;
  std::size_t max_prompts = 256;  ///< of one request
  std::size_t max_connections = 1024;
  double idle_seconds = 75, head_seconds = 10, stall_seconds = 30, ping_seconds = 15;
  double drain_seconds = 30;  ///< running replies have so long to end after stop()

  /// One JSON object per request, without a line end; no text of a prompt or a reply is in it. From the I/O thread.
  std::function<void(std::string_view)> log = {};
  /// Asked some ten times a second by run(): true is stop().
  std::function<bool()> stopping = {};
};

class MOE_API Server {
 public:
  /// Makes the session and listens; requests wait until run(). Errors: bad_argument naming the option, io (address and
  /// port), those of Session::create; unsupported when the model has no usable tokenizer.
  static Result<Server> create(std::shared_ptr<const Model> model, const ServerOptions& options);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  std::uint16_t port() const;
  /// "http://127.0.0.1:8080"
  std::string url() const;
  std::int64_t context_tokens() const;
  std::int64_t cache_tokens() const;
  /// Serves until stop() in the calling thread, and lets running replies end. Once.
  Result<void> run();
  /// From any thread.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI::serve

#pragma once
// A server of the OpenAI API for one model (docs/SERVING.md), to run inside a host program. It is a separate library,
// moe::serve, whose build needs Boost's headers.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::serve {

/// How the scheduler uses cache and time. None of these settings changes a bit of an answer.
struct SchedulerOptions {
  std::int64_t batch_tokens = 512;  ///< per step: one token of each running reply, then prompts
  std::int64_t max_sequences = 64;  ///< replies that run at the same time
  std::int64_t max_queue = 4096;    ///< waiting prompts; more are refused with status 429
  std::int64_t logit_memory = std::int64_t{128}
                              << 20;  ///< bytes: limits the positions of a step with logits; two are always allowed
  /// Tokens of finished prompts and replies that stay in the cache. 0: nothing is kept. Unset: half of the cache.
  std::optional<std::int64_t> prefix_cache_tokens = {};
  /// Among this many waiting jobs of an owner, the one with the longest cached prefix goes first; no job is overtaken
  /// more often than this. 0: first come, first served.
  std::int64_t reorder_window = 64;
  /// Target time of a step while replies are being written. Prompts get what the replies leave, at least half; if all
  /// replies together would take longer, replies of several owners take turns. 0: no limit.
  double max_step_ms = 200;
  bool isolate_owners = false;  ///< owners share no cached prefixes, so timing reveals nothing about others' prompts
};

/// The cache of a server for requests of `context` tokens where no other is asked for: room for several, but a model
/// with a long context may leave little memory.
constexpr std::int64_t default_cache_tokens(std::int64_t context) {
  constexpr std::int64_t kContexts = 8, kMostTokens = 32768;
  return std::max(context, std::min(kContexts * std::min(context, kMostTokens), kMostTokens)) + kPageTokens;
}

struct ServerOptions {
  /// Names or addresses, all with the same port. At loopback addresses, a request's Host must be one of them.
  std::vector<std::string> hosts = {"127.0.0.1"};
  std::uint16_t port = 8080;            ///< 0: any free port; Server::port() returns it
  std::vector<std::string> names = {};  ///< of the model in requests and responses; at least one
  bool any_model_name = false;          ///< requests may name any model
  std::string revision = {};            ///< of the host program, for /version

  /// Of the model's session. `cancelled` and `on_progress` must be empty. `max_tokens` is the cache of all requests
  /// together; 0: default_cache_tokens(), which is eight contexts, at most 32,768 tokens, at least one context, and a
  /// page of 64 more.
  SessionOptions session = {};
  std::int64_t context_tokens = 0;  ///< most tokens of a request, prompt and reply; 0: the model's context
  SchedulerOptions scheduler = {};

  std::vector<std::string> api_keys = {};  ///< empty: no key is needed
  std::string cors_origin = {};            ///< Access-Control-Allow-Origin; empty: no such header
  std::string chat_template_name = {};     ///< one of the model's templates; empty: as with ChatOptions
  std::string chat_template_text = {};     ///< instead of the model's own
  /// Control tokens spelled out in messages are parsed, as other servers do; false: they are plain text.
  bool parse_user_control_tokens = false;
  /// Default sampling settings come from the model's generation_config.json instead of OpenAI's values.
  bool use_generation_config = false;
  bool trust_request_template = false;  ///< a request may contain a chat template
  bool strict = false;                  ///< unknown fields are errors
  bool metrics = true;                  ///< false: /metrics answers 501
  std::string metrics_alias = {};       ///< "vllm" or "llamacpp": also list metrics under their names

  std::size_t max_body_bytes = 16u << 20;
  std::size_t max_prompts = 256;  ///< of one request
  std::size_t max_connections = 1024;
  /// Memory of all unanswered requests; the same limit again for all responses that clients have not read.
  std::size_t max_buffer_bytes = std::size_t{1} << 30;
  double idle_seconds = 75;    ///< of a connection between requests; longer than most clients keep one
  double head_seconds = 10;    ///< for the headers of a request
  double stall_seconds = 30;   ///< a client that reads nothing of its response for so long is dropped
  double ping_seconds = 15;    ///< of silence in a stream, then it gets a comment
  double request_seconds = 0;  ///< a request that takes longer ends with an error; 0: no limit
  double drain_seconds = 30;   ///< time for running replies to finish after stop()

  bool log_content = false;  ///< log prompts and replies
  /// One JSON object per request, without a line end; contains no text of prompts or replies unless log_content is set.
  /// Called by the I/O thread.
  std::function<void(std::string_view)> log = {};
  /// Called about ten times a second by run(); true means stop().
  std::function<bool()> stopping = {};
};

class MOE_API Server {
 public:
  /// Listens. Until there is a model, run() answers with status 503, "loading model". Errors: bad_argument naming the
  /// option; io (address and port).
  static Result<Server> listen(const ServerOptions& options);
  /// Creates the session: from now on the model answers. Call once, from any thread, before or during run(). Errors:
  /// bad_argument naming the option, those of Session::create; unsupported when the model has no usable tokenizer.
  Result<void> serve(std::shared_ptr<const Model> model);
  /// The same with another session than ServerOptions::session, as when memory is planned once the port is taken.
  Result<void> serve(std::shared_ptr<const Model> model, const SessionOptions& session);
  /// listen() and serve() in one; requests wait until run().
  static Result<Server> create(std::shared_ptr<const Model> model, const ServerOptions& options);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  std::uint16_t port() const;
  /// "http://127.0.0.1:8080", of each host.
  std::vector<std::string> urls() const;
  std::int64_t context_tokens() const;  ///< after serve()
  std::int64_t cache_tokens() const;    ///< after serve()
  /// Serves in the calling thread until stop(), then lets running replies finish. Call once.
  Result<void> run();
  /// From any thread.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace moe::inline MOE_ABI::serve

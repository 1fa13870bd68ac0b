#pragma once
// A server that answers the requests of the OpenAI API with one model (docs/SERVING.md), for a host to run. It stands in
// a library of its own, moe::serve, which needs Boost's headers to be built.

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

/// How the scheduler uses cache and time. None of it changes a bit of an answer.
struct SchedulerOptions {
  std::int64_t batch_tokens = 512;  ///< computed in a step: a token of each reply that is being written, then prompts
  std::int64_t max_sequences = 64;  ///< replies that run at one time, and get a token in a step
  std::int64_t max_queue = 4096;    ///< prompts that wait; more are refused with 429
  std::int64_t logit_memory = std::int64_t{128}
                              << 20;  ///< bytes: bounds the positions of a step with logits; two may always have them
  /// Tokens that earlier prompts and replies may hold beyond what running ones use. 0: nothing is kept. Unset: half of
  /// the cache.
  std::optional<std::int64_t> prefix_cache_tokens = {};
  /// Among so many waiting jobs of an owner the one that shares most with what is cached goes first; none is passed over
  /// more often than this. 0: first come, first served.
  std::int64_t reorder_window = 64;
  /// That a step takes about while replies are being written: prompts get what those leave of it, and at least a half;
  /// replies of several owners take turns where all of them would take longer. 0: no limit.
  double max_step_ms = 200;
  bool isolate_owners = false;  ///< owners do not share what is kept: the time of an answer tells nobody of another's
};

struct ServerOptions {
  /// Names or addresses, all with one port; at the loopback addresses requests must name one of them as their Host.
  std::vector<std::string> hosts = {"127.0.0.1"};
  std::uint16_t port = 8080;            ///< 0: any that is free; Server::port() says which
  std::vector<std::string> names = {};  ///< of the model in requests and answers; at least one
  bool any_model_name = false;          ///< requests may name any model
  std::string revision = {};            ///< of the program, for /version

  /// Of what the model is run with. `cancelled` and `on_progress` stay empty; `max_tokens` is the cache of all requests
  /// together, 0: eight contexts, but not more than 32,768 tokens and not less than one context.
  SessionOptions session = {};
  std::int64_t context_tokens = 0;  ///< of one request, prompt and reply; 0: the model's context
  SchedulerOptions scheduler = {};

  std::vector<std::string> api_keys = {};  ///< empty: none is asked for
  std::string cors_origin = {};            ///< of Access-Control-Allow-Origin; empty: no such header
  std::string chat_template_name = {};     ///< of the model's templates; empty: as ChatOptions chooses
  std::string chat_template_text = {};     ///< instead of the model's own
  /// Control tokens that a message spells are parsed, as other servers do; false: they are plain text.
  bool parse_user_control_tokens = false;
  /// What the model's generation_config.json says of sampling is the default of requests, instead of OpenAI's values.
  bool use_generation_config = false;
  bool trust_request_template = false;  ///< a request may bring a template of its own
  bool strict = false;                  ///< a field that is not known is an error
  bool metrics = true;                  ///< false: /metrics answers 501
  std::string metrics_alias = {};       ///< "vllm" or "llamacpp": metrics once more under their names

  std::size_t max_body_bytes = 16u << 20;
  std::size_t max_prompts = 256;  ///< of one request
  std::size_t max_connections = 1024;
  /// Of all requests that are not answered, and once more of all answers that clients have not read.
  std::size_t max_buffer_bytes = std::size_t{1} << 30;
  double idle_seconds = 75, head_seconds = 10, stall_seconds = 30, ping_seconds = 15;
  double request_seconds = 0;  ///< a request that takes longer ends with an error; 0: none does
  double drain_seconds = 30;   ///< running replies have so long to end after stop()

  bool log_content = false;  ///< prompts and replies are in the log
  /// One JSON object per request, without a line end; no text of a prompt or a reply is in it, but for log_content. From
  /// the I/O thread.
  std::function<void(std::string_view)> log = {};
  /// Asked some ten times a second by run(): true is stop().
  std::function<bool()> stopping = {};
};

class MOE_API Server {
 public:
  /// Listens. As long as there is no model, what run() answers is 503, "loading model". Errors: bad_argument naming the
  /// option; io (address and port).
  static Result<Server> listen(const ServerOptions& options);
  /// Makes the session: from now on the model answers. Once, from any thread, before or beside run(). Errors: bad_argument
  /// naming the option, those of Session::create; unsupported when the model has no usable tokenizer.
  Result<void> serve(std::shared_ptr<const Model> model);
  /// Both; requests wait until run().
  static Result<Server> create(std::shared_ptr<const Model> model, const ServerOptions& options);
  ~Server();
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;

  std::uint16_t port() const;
  /// "http://127.0.0.1:8080", of each host.
  std::vector<std::string> urls() const;
  std::int64_t context_tokens() const;  ///< after serve()
  std::int64_t cache_tokens() const;    ///< after serve()
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

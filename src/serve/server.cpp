#include <fmt/format.h>

#include <algorithm>

#include "moe/chat.hpp"
#include "moe/serve.hpp"
#include "serve/api/api.hpp"
#include "serve/api/sampling_defaults.hpp"
#include "serve/scheduler_thread.hpp"
#include "serve/session_engine.hpp"
#include "support/fnv1a.hpp"

namespace moe::inline MOE_ABI::serve {
namespace {

// Equal fingerprints and equal bodies mean equal answers: it includes all options that change the meaning of a body.
std::string fingerprint_of(const Model& model, const SessionOptions& session, const ServerOptions& options) {
  std::string out = fmt::format("b{}-{:016x}-{}-{}", kNumericsVersion, model.info().hash, name_of(session.kv),
                                name_of(session.precision));
  if (const std::string chat = options.chat_template_name + options.chat_template_text; !chat.empty())
    out += fmt::format("-{:016x}", fnv1a(chat));
  if (options.use_generation_config) out += "-gc";
  if (options.parse_user_control_tokens) out += "-uc";
  return out;
}

Result<void> check_session(const SessionOptions& session) {
  if (session.max_tokens < 0) return fail(ErrorCode::bad_argument, "ServerOptions::session.max_tokens is below 0");
  return {};
}

Result<void> check(const ServerOptions& options) {
  const auto refuse = [](const char* what) { return fail(ErrorCode::bad_argument, what); };
  if (options.names.empty()) return refuse("ServerOptions::names is empty, expected a name of the model");
  for (const std::string& name : options.names)
    if (name.empty()) return refuse("a name of the model is empty");
  // The resolver would treat it as any address.
  if (options.hosts.empty()) return refuse("ServerOptions::hosts is empty, expected an address to listen on");
  for (const std::string& host : options.hosts)
    if (host.empty()) return refuse("the host is empty, expected an address to listen on");
  if (options.context_tokens < 0) return refuse("ServerOptions::context_tokens is below 0");
  return check_session(options.session);
}

Result<void> check_model(const Model& model, const ServerOptions& options) {
  if (!model.tokenizer())
    return fail(ErrorCode::unsupported, "a server needs the model's tokenizer: " + model.tokenizer_error());
  const std::int64_t most = model.config().max_position;
  if (options.context_tokens > most)
    return fail(ErrorCode::bad_argument, fmt::format("context_tokens is {}, expected at most the model's context, {}",
                                                     options.context_tokens, most));
  return {};
}

// A missing or invalid template is reported when the server starts. Errors of rendering a conversation go to the
// client.
Result<void> check_template(const Model& model, const ServerOptions& options) {
  if (options.chat_template_name.empty() && options.chat_template_text.empty()) return {};
  Chat chat;
  chat.messages = {{.role = "user", .content = "Hello"}};
  chat.options.template_name = options.chat_template_name;
  chat.options.template_text = options.chat_template_text;
  const auto text = render_chat(model, chat);
  if (!text && (text.error().code == ErrorCode::not_found || text.error().code == ErrorCode::bad_file))
    return forward(text);
  return {};
}

http::Options http_options(const ServerOptions& options) {
  http::Options http;
  http.hosts = options.hosts;
  http.port = options.port;
  http.max_body = options.max_body_bytes;
  http.max_connections = options.max_connections;
  http.buffer_bytes = options.max_buffer_bytes;
  http.cors_origin = options.cors_origin;
  http.idle_seconds = options.idle_seconds;
  http.head_seconds = options.head_seconds;
  http.stall_seconds = options.stall_seconds;
  http.ping_seconds = options.ping_seconds;
  http.request_seconds = options.request_seconds;
  http.stopping = options.stopping;
  return http;
}

}  // namespace

/// Members are destroyed in reverse order: first everything that writes to the HTTP server, then the server.
struct Server::Impl {
  ServerOptions options;
  std::unique_ptr<http::Server> http;
  api::Metrics metrics;
  // The model waits for the output thread, so that replies do not pile up.
  std::unique_ptr<TaskThread> output = std::make_unique<TaskThread>(4096);
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<SchedulerThread> steps;
  std::unique_ptr<TaskThread> intake = std::make_unique<TaskThread>();
  std::unique_ptr<api::Context> context;
  std::unique_ptr<api::Api> api;
  std::int64_t cache_tokens = 0;

  ~Impl() {
    intake.reset();
    steps.reset();
    output.reset();
    http.reset();
  }
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;

Result<Server> Server::listen(const ServerOptions& options) {
  if (auto ok = check(options); !ok) return forward(ok);
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  Impl* raw = impl.get();
  impl->api = std::make_unique<api::Api>(
      impl->options, impl->metrics, [raw] { raw->scheduler->drain(); }, [raw] { return raw->http->gauges(); });
  auto server = http::Server::create(http_options(options), *impl->api);
  if (!server) return forward(server);
  impl->http = std::move(*server);
  return Server(std::move(impl));
}

Result<void> Server::serve(std::shared_ptr<const Model> model) {
  return serve(std::move(model), impl_->options.session);
}

Result<void> Server::serve(std::shared_ptr<const Model> model, const SessionOptions& session_wanted) {
  const ServerOptions& options = impl_->options;
  if (impl_->scheduler != nullptr) return fail(ErrorCode::bad_argument, "the server has a model already");
  if (auto ok = check_session(session_wanted); !ok) return ok;
  if (auto ok = check_model(*model, options); !ok) return ok;
  if (auto ok = check_template(*model, options); !ok) return ok;
  auto defaults = api::sampling_defaults(*model, options.use_generation_config);
  if (!defaults) return forward(defaults);
  SessionOptions session_options = session_wanted;
  const std::int64_t context = options.context_tokens > 0 ? options.context_tokens : model->config().max_position;
  if (session_options.max_tokens == 0) session_options.max_tokens = default_cache_tokens(context);
  auto session = Session::create(model, session_options);
  if (!session) return forward(session);
  impl_->cache_tokens = session_options.max_tokens;
  auto scheduler = Scheduler::create(std::make_unique<SessionEngine>(std::move(*session), context), options.scheduler);
  if (!scheduler) return forward(scheduler);
  impl_->scheduler = std::move(*scheduler);
  impl_->scheduler->set_step_observer([&metrics = impl_->metrics](std::int64_t tokens, double seconds) {
    metrics.observe(api::Metrics::Measure::step, seconds);
    metrics.observe(api::Metrics::Measure::step_tokens, static_cast<double>(tokens));
  });
  auto steps = SchedulerThread::start(*impl_->scheduler);
  if (!steps) return forward(steps);
  impl_->steps = std::move(*steps);
  impl_->context.reset(new api::Context{model, options, *impl_->scheduler, impl_->metrics, *impl_->intake,
                                        *impl_->output, context, api::unix_now(),
                                        fingerprint_of(*model, session_options, options), std::move(*defaults)});
  impl_->api->serve(*impl_->context);
  return {};
}

Result<Server> Server::create(std::shared_ptr<const Model> model, const ServerOptions& options) {
  auto server = listen(options);
  if (!server) return server;
  if (auto ok = server->serve(std::move(model)); !ok) return forward(ok);
  return server;
}

std::uint16_t Server::port() const { return impl_->http->port(); }
std::vector<std::string> Server::urls() const {
  std::vector<std::string> out;
  for (const std::string& host : impl_->options.hosts) {
    const bool is_v6 = host.find(':') != std::string::npos;
    out.push_back(fmt::format("http://{}:{}", is_v6 ? "[" + host + "]" : host, port()));
  }
  return out;
}
std::int64_t Server::context_tokens() const { return impl_->context ? impl_->context->context_tokens : 0; }
std::int64_t Server::cache_tokens() const { return impl_->cache_tokens; }
Result<void> Server::run() { return impl_->http->run(impl_->options.drain_seconds); }
void Server::stop() { impl_->http->stop(); }

}  // namespace moe::inline MOE_ABI::serve

// moe-serve: serves a model with the OpenAI API.

#include "moe/serve.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <thread>

#include "support/show.hpp"
#include "support/text_file.hpp"
#include "tools/common/chat_template.hpp"
#include "tools/common/fit_memory.hpp"
#include "tools/common/kv_option.hpp"
#include "tools/common/memory_options.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace {

using moe::Bounds;
using moe::Result;
using moe::serve::ServerOptions;

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

struct Options {
  std::string model, api_key_file, chat_template, precision = "auto", kv;
  std::int32_t threads = 0;
  cli::PackCache pack;
  std::int64_t memory = 0;
  bool no_log = false, no_metrics = false;
  ServerOptions server;
};

Result<void> read_keys(const std::string& path, std::vector<std::string>& keys) {
  std::string text;
  if (!path.empty()) {
    auto read =
        moe::read_text(path, {.bytes = 1 << 20, .streams = moe::Streams::allowed, .cancelled = cli::interrupted});
    if (!read) return moe::fail(read.error().code, "--api-key-file " + read.error().message);
    text = std::move(*read);
  } else if (const char* key = std::getenv("MOE_API_KEY"); key != nullptr) {
    text = key;
  } else {
    return {};
  }
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string key = text.substr(at, end - at);
    if (key.ends_with('\r')) key.pop_back();
    if (!key.empty()) keys.push_back(std::move(key));
    at = end + 1;
  }
  // Who names a place for keys does not want an open server.
  if (keys.empty())
    return moe::fail(moe::ErrorCode::bad_file,
                     (path.empty() ? "MOE_API_KEY" : "--api-key-file " + moe::printable(path)) + ": holds no key");
  return {};
}

// What the model is called where --alias does not say.
std::string name_of_path(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path p = fs::path(path).lexically_normal();
  const std::string last = (p.has_filename() ? p.filename() : p.parent_path().filename()).string();
  return last.ends_with(".gguf") ? last.substr(0, last.size() - 5) : last;
}

std::string size_text(std::int64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

Result<void> announce(const moe::serve::Server& server, const moe::Model& model, const ServerOptions& options) {
  const moe::MemoryEstimate memory = moe::Session::estimate_memory(model, options.session);
  return cli::print(fmt::format("moe-serve: {} serves {}: {} weights, {} cache of {} tokens, context {}\n",
                                fmt::join(server.urls(), ", "), moe::printable(options.names.front()),
                                size_text(model.resident_bytes()), size_text(memory.cache_bytes), server.cache_tokens(),
                                server.context_tokens()));
}

// In the words of the command line.
Result<void> check_context(const moe::Model& model, const ServerOptions& options) {
  const std::int64_t most = model.config().max_position;
  if (options.context_tokens <= most) return {};
  return moe::fail(moe::ErrorCode::bad_argument,
                   fmt::format("--ctx is {}, expected at most the model's context, {}", options.context_tokens, most));
}

/// The server's thread, from the start to the end of the program.
class Network {
 public:
  explicit Network(moe::serve::Server& server) : server_(server), thread_([this] { done_ = server_.run(); }) {}
  ~Network() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  Result<void> wait() {
    thread_.join();
    return done_;
  }

 private:
  moe::serve::Server& server_;
  Result<void> done_;
  std::thread thread_;
};

// Of a step, twice: while a buffer grows the smaller one is still there.
std::int64_t logit_bytes(const moe::serve::SchedulerOptions& o, std::int64_t vocab_size) {
  const std::int64_t row = vocab_size * static_cast<std::int64_t>(sizeof(float));
  return 2 * row * std::min(std::max<std::int64_t>(o.logit_memory / row, 2), o.batch_tokens + o.max_sequences);
}

// Plans the cache that the server will make: its default or, where that does not fit, one context.
Result<std::optional<moe::MemoryPlan>> fit(Options& o, moe::LoadOptions& options) {
  moe::MemoryRequest request;
  request.limit = o.memory;
  request.session = o.server.session;
  std::int64_t& cache = o.server.session.max_tokens;
  const auto info = moe::Model::inspect(o.model);
  if (!info) return cli::fit_memory("moe-serve", o.model, request, o.pack, options);  // which says what is wrong
  const std::int64_t own = info->config.max_position;
  const std::int64_t context = o.server.context_tokens > 0 ? std::min(o.server.context_tokens, own) : own;
  const bool is_default = cache == 0;
  request.session.max_tokens = is_default ? moe::serve::default_cache_tokens(context) : cache;
  request.reserved_bytes = logit_bytes(o.server.scheduler, info->config.vocab_size);
  const moe::LoadOptions before = options;
  auto plan = cli::fit_memory("moe-serve", o.model, request, o.pack, options);
  if (is_default && !plan && plan.error().code == moe::ErrorCode::out_of_memory) {
    options = before;
    request.session.max_tokens = context + moe::kPageTokens;
    plan = cli::fit_memory("moe-serve", o.model, request, o.pack, options);
  }
  cache = request.session.max_tokens;
  return plan;
}

Result<void> load(Options& o, moe::serve::Server& server) {
  cli::ProgressLine line("loading");
  moe::LoadOptions options{.threads = o.server.session.threads,
                           .on_progress = [&](moe::Progress p) { line.update(p); },
                           .cancelled = cli::interrupted};
  const auto memory = fit(o, options);
  if (!memory) return moe::forward(memory);
  if (*memory) {
    o.server.session.chunk_tokens = std::min(o.server.session.chunk_tokens, (*memory)->chunk_tokens);
    o.server.session.state_bytes = (*memory)->state_bytes;
  }
  auto model = moe::Model::load(o.model, options);
  line.clear();
  if (!model) return moe::forward(model);
  // From here on the server's own thread computes.
  moe::end_openmp_threads();
  for (const std::string& note : (*model)->info().notes) cli::complain("moe-serve", "note: " + note);
  if (auto ok = check_context(**model, o.server); !ok) return ok;
  if (auto ok = server.serve(*model, o.server.session); !ok) return ok;
  o.server.session.max_tokens = server.cache_tokens();
  return announce(server, **model, o.server);
}

Result<void> run(Options& o) {
  if (auto ok = read_keys(o.api_key_file, o.server.api_keys); !ok) return ok;
  if (!o.chat_template.empty()) {
    moe::ChatOptions chat;
    if (auto ok = cli::use_chat_template(o.chat_template, chat); !ok) return ok;
    o.server.chat_template_name = chat.template_name;
    o.server.chat_template_text = chat.template_text;
  }
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  if (o.server.names.empty()) o.server.names.push_back(name_of_path(o.model));
  o.server.session.threads = *threads;
  o.server.metrics = !o.no_metrics;
  o.server.stopping = cli::interrupted;
  o.server.revision = MOE_VERSION;
  if (!o.no_log)
    o.server.log = [](std::string_view text) {
      std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
    };
  // The port is taken first, and /health answers while the model is read.
  auto server = moe::serve::Server::listen(o.server);
  if (!server) return moe::forward(server);
  Network network(*server);
  auto done = load(o, *server);
  const bool is_cancelled = !done && done.error().code == moe::ErrorCode::cancelled;
  if (done) done = network.wait();
  // Asked to stop is what a server's run ends with, also while it loads.
  if (is_cancelled) done = Result<void>();
  if (done) cli::take_interrupt_as_request();
  return done;
}

void add_model_options(CLI::App& app, Options& o) {
  cli::add_path(app, "--model", o.model, "a .gguf file, a directory with one, or a Hugging Face directory")->required();
  app.add_option("--alias", o.server.names, "name of the model in requests and answers (that of the file); repeatable")
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("NAME");
  app.add_flag("--any-model-name", o.server.any_model_name, "requests may name any model");
  cli::add_number(app, "--ctx,--max-model-len", o.server.context_tokens, Bounds<std::int64_t>{1, kMost},
                  "tokens of one request, prompt and reply (the model's context)");
  cli::add_number(
      app, "--cache-tokens", o.server.session.max_tokens, Bounds<std::int64_t>{1, std::int64_t{1} << 40},
      "tokens in the cache, of all requests together (8 times --ctx, at most 32768, at least one --ctx, and a "
      "page of 64)");
  cli::add_path(app, "--chat-template", o.chat_template,
                "a template: a file that ends in .jinja or has a / in its path, or the NAME of one of the model's")
      ->type_name("FILE|NAME");
  app.add_flag("--trust-request-template", o.server.trust_request_template, "requests may contain a chat_template");
  app.add_flag("--parse-user-control-tokens", o.server.parse_user_control_tokens,
               "parse control tokens spelled out in messages, as other servers do (they are plain text)");
  app.add_flag("--use-generation-config", o.server.use_generation_config,
               "sampling defaults come from generation_config.json (OpenAI's defaults)");
  app.add_option("--precision", o.precision, "auto or reference (float32 activations)")
      ->check(CLI::IsMember({"auto", "reference"}));
  cli::add_kv(app, o.kv);
  cli::add_threads(app, o.threads);
  cli::add_pack_cache(app, o.pack);
  cli::add_memory(app, o.memory);
}

void add_scheduler_options(CLI::App& app, moe::serve::SchedulerOptions& o) {
  cli::add_number(app, "--batch-tokens", o.batch_tokens, Bounds<std::int64_t>{1, 1 << 20},
                  "tokens of a step: one of each reply, then of prompts (512)");
  cli::add_number(app, "--max-sequences", o.max_sequences, Bounds<std::int64_t>{1, 1 << 16},
                  "replies that run at the same time; an API key below its share does not wait for others (64)");
  cli::add_number(app, "--max-queue", o.max_queue, Bounds<std::int64_t>{1, 1 << 20},
                  "waiting prompts; more are refused with 429 (4096)");
  cli::add_number(app, "--logit-memory", o.logit_memory, Bounds<std::int64_t>{1, std::int64_t{1} << 40},
                  "bytes of logits in a step, which limit the scored positions of prompts (134217728)");
  cli::add_number(app, "--prefix-cache-tokens", o.prefix_cache_tokens, Bounds<std::int64_t>{0, kMost},
                  "tokens of finished requests kept in the cache; 0 keeps nothing (half of the cache)");
  cli::add_number(app, "--reorder-window", o.reorder_window, Bounds<std::int64_t>{0, 1 << 20},
                  "waiting prompts among which the one with the longest cached prefix goes first (64)");
  cli::add_number(app, "--max-step-ms", o.max_step_ms, Bounds<double>{0, 1e6},
                  "target time of a step while replies are written: prompts get the rest, at least half; replies of "
                  "several keys take turns within it; 0: no limit (200)");
  app.add_flag("--isolate-keys", o.isolate_owners, "API keys do not share cached prefixes");
}

void add_network_options(CLI::App& app, Options& o) {
  app.add_option("--host", o.server.hosts,
                 "addresses to listen on, a list with commas or repeated (127.0.0.1); on loopback, requests must name "
                 "one as their Host")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->delimiter(',')
      ->type_name("ADDRESS");
  cli::add_number(app, "--port", o.server.port, Bounds<std::uint16_t>{0, 65535}, "0: any free port (8080)");
  cli::add_path(app, "--api-key-file", o.api_key_file,
                "file with a key per line, required as Authorization: Bearer KEY (MOE_API_KEY)");
  app.add_option("--cors-origin", o.server.cors_origin, "site whose pages may call the server; * for all (none)")
      ->type_name("ORIGIN");
  app.add_flag("--strict", o.server.strict, "a request with an unknown field is an error");
  cli::add_number(app, "--max-body", o.server.max_body_bytes, Bounds<std::size_t>{1, std::size_t{1} << 30},
                  "bytes of a request's body (16777216)");
  cli::add_number(app, "--max-prompts", o.server.max_prompts, Bounds<std::size_t>{1, 1 << 16},
                  "prompts of one request (256)");
  cli::add_number(app, "--buffer-memory", o.server.max_buffer_bytes, Bounds<std::size_t>{1, std::size_t{1} << 50},
                  "bytes of all unanswered requests, and the same again of all unread answers (1073741824)");
  cli::add_number(app, "--max-connections", o.server.max_connections, Bounds<std::size_t>{1, 1 << 20},
                  "open connections (1024)");
  const Bounds<double> seconds{0, 1e6, true};
  cli::add_number(app, "--idle-seconds", o.server.idle_seconds, seconds, "maximum idle time of a connection (75)");
  cli::add_number(app, "--head-seconds", o.server.head_seconds, seconds, "maximum time for a request's headers (10)");
  cli::add_number(app, "--stall-seconds", o.server.stall_seconds, seconds,
                  "a client that reads nothing for so long is dropped (30)");
  cli::add_number(app, "--ping-seconds", o.server.ping_seconds, seconds,
                  "a comment is sent after so long a silence in a stream (15)");
  cli::add_number(app, "--request-timeout", o.server.request_seconds, Bounds<double>{0, 1e6},
                  "maximum time of a request, then it ends with an error; 0: no limit (0)");
  cli::add_number(app, "--drain-seconds", o.server.drain_seconds, Bounds<double>{0, 1e6},
                  "time for running replies to finish after SIGTERM (30)");
  auto* none = app.add_flag("--no-metrics", o.no_metrics, "/metrics answers 501");
  app.add_option("--metrics-alias", o.server.metrics_alias, "also list metrics under the names of vllm or llamacpp")
      ->check(CLI::IsMember({"vllm", "llamacpp"}))
      ->excludes(none);
  app.add_flag("--log-content", o.server.log_content, "log the texts of prompts and replies (they are not logged)");
  app.add_flag("--no-log", o.no_log, "no line per request on stderr");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Serves a model with the OpenAI API (docs/SERVING.md).", "moe-serve");
  add_model_options(app, o);
  add_scheduler_options(app, o.server.scheduler);
  add_network_options(app, o);
  app.footer(
      "Examples:\n"
      "  moe-serve --model model.gguf\n"
      "  moe-serve --model models/nano/nano-moe --alias nano --port 0\n"
      "  curl http://127.0.0.1:8080/v1/completions -H 'Content-Type: application/json' \\\n"
      "    -d '{\"prompt\": \"Once upon a time\", \"max_tokens\": 32}'\n"
      "The first SIGINT or SIGTERM lets running replies finish, a second one ends the program at once.\n"
      "Exit status: 0 stopped, 1 bad input, 2 wrong usage, 3 internal or out of memory, 130 ended by a second signal.");
  return cli::run(app, argc, argv, [&]() -> Result<void> {
    if (o.precision == "reference") o.server.session.precision = moe::Precision::reference;
    o.server.session.kv = cli::kv_of(o.kv, o.server.session.precision);
    return run(o);
  });
}

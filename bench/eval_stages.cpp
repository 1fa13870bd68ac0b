#include "bench/eval_stages.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "bench/eval_rows.hpp"
#include "bench/eval_setup.hpp"
#include "moe/content_hash.hpp"
#include "support/number.hpp"
#include "support/show.hpp"
#include "tools/common/program.hpp"
#include "tools/common/threads.hpp"

namespace eval_stages {
namespace {

using Kind = Pipeline::Order::Kind;

// The words that begin a message; a session's has two numbers, and the row's name is the rest.
constexpr const char *kLoad = "load ", *kSession = "session ", *kEnd = "end";

moe::Result<void> check(const eval_rows::Options& o) {
  const std::pair<bool, const char*> refused[] = {{!o.shard.empty(), "--shard"},
                                                  {o.until_known.wanted, "--until-known"},
                                                  {o.memory > 0, "--memory"},
                                                  {!o.pack.path.empty(), "--pack-cache"}};
  for (const auto& [given, name] : refused)
    if (given)
      return moe::fail(moe::ErrorCode::unsupported,
                       fmt::format("{} does not work over stages yet, expected moe-eval without it", name));
  return {};
}

moe::SessionOptions session_options(const eval_rows::Options& o, const eval_rows::Setting& row,
                                    const moe::ParallelFor& threads, std::int64_t max_tokens,
                                    std::int64_t chunk_tokens) {
  moe::SessionOptions session;
  session.precision = row.precision;
  session.kv = row.kv;
  session.threads = threads;
  session.max_tokens = max_tokens;
  session.chunk_tokens = chunk_tokens;
  session.cancelled = cli::interrupted;
  session.stages = o.pipeline->stages();
  return session;
}

moe::Result<void> serve_session(const eval_rows::Options& o, const eval_rows::Setting& row,
                                const Pipeline::Order& order, eval_setup::RowModels& models,
                                const moe::ParallelFor& threads) {
  const auto model = models.model_of(row);
  if (!model || order.kind == Kind::load) return model ? moe::Result<void>() : moe::forward(model);
  return moe::serve_stage(*model, session_options(o, row, threads, order.max_tokens, order.chunk_tokens));
}

moe::Result<void> serve(const eval_rows::Options& o, const std::vector<eval_rows::Setting>& rows) {
  const auto threads = cli::start_threads(o.threads);
  if (!threads) return moe::forward(threads);
  eval_setup::RowModels models(*threads, o, moe::sha256);  // the stages compare it
  for (;;) {
    const auto order = o.pipeline->next();
    if (!order) return moe::forward(order);
    if (order->kind == Kind::end) return {};
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const auto& r) { return r.name == order->row; });
    if (row == rows.end())
      return moe::fail(moe::ErrorCode::bad_argument,
                       fmt::format("stage 0 asks {}, which the command line of this stage "
                                   "does not name: expected the same one everywhere",
                                   moe::in_quotes(order->row)));
    if (auto ok = serve_session(o, *row, *order, models, *threads); !ok) return ok;
  }
}

}  // namespace

moe::Result<moe::LayerRange> Pipeline::layers_of(const moe::ModelInfo& info) const {
  const auto ranges = moe::divide_layers(info, stages_->size());
  if (!ranges) return moe::forward(ranges);
  return (*ranges)[static_cast<std::size_t>(stages_->rank())];
}

moe::Result<void> Pipeline::tell_all(const std::string& text) {
  for (std::int32_t rank = 1; rank < stages_->size(); ++rank)
    if (auto ok = transport_->send(rank, std::as_bytes(std::span(text))); !ok) return ok;
  return {};
}

moe::Result<void> Pipeline::tell_load(const std::string& row) { return tell_all(kLoad + row); }
moe::Result<void> Pipeline::tell_end() { return tell_all(kEnd); }
moe::Result<void> Pipeline::tell_session(const std::string& row, const moe::SessionOptions& options) {
  return tell_all(fmt::format("{}{} {} {}", kSession, options.max_tokens, options.chunk_tokens, row));
}

// Stage 0 may read and compute for long in between; a stage that dies ends all processes.
moe::Result<Pipeline::Order> Pipeline::next() {
  const auto message = transport_->receive(0, 0.0);
  if (!message) return moe::forward(message);
  const std::string text(reinterpret_cast<const char*>(message->data()), message->size());
  Order order;
  if (text == kEnd) return order;
  if (text.starts_with(kLoad)) {
    order.kind = Kind::load, order.row = text.substr(std::char_traits<char>::length(kLoad));
    return order;
  }
  const std::size_t first = std::char_traits<char>::length(kSession), second = text.find(' ', first);
  const std::size_t third = second == std::string::npos ? second : text.find(' ', second + 1);
  if (!text.starts_with(kSession) || third == std::string::npos)
    return moe::fail(moe::ErrorCode::bad_file, "stage 0 sent " + moe::in_quotes(text) + ", expected a session");
  const moe::Bounds<std::int64_t> counts{1, std::numeric_limits<std::int32_t>::max()};
  const auto max_tokens = moe::parse_number<std::int64_t>("max_tokens", text.substr(first, second - first), counts);
  if (!max_tokens) return moe::forward(max_tokens);
  const auto chunk =
      moe::parse_number<std::int64_t>("chunk_tokens", text.substr(second + 1, third - second - 1), counts);
  if (!chunk) return moe::forward(chunk);
  order.kind = Kind::session, order.row = text.substr(third + 1);
  order.max_tokens = *max_tokens, order.chunk_tokens = *chunk;
  return order;
}

moe::Result<void> check_canary(const eval_rows::Options& options, const eval_rows::Setting& row,
                               const std::shared_ptr<const moe::Model>& model, const moe::ParallelFor& threads) {
  constexpr std::int64_t kTokens = 16;  // of a canary
  const moe::SessionOptions how = session_options(options, row, threads, kTokens, kTokens);
  if (auto ok = options.pipeline->tell_session(row.name, how); !ok) return ok;
  const auto session = moe::Session::create(model, how);
  if (!session) return moe::forward(session);
  const auto sign = moe::canary(**session);
  if (!sign) return moe::forward(sign);
  const std::string found = fmt::format("{:016x}", *sign);
  cli::complain("moe-eval-stages", fmt::format("{}: {} stages, canary {}", row.name, how.stages->size(), found));
  const std::vector<std::string>& known = options.canaries;
  if (known.empty() || std::find(known.begin(), known.end(), found) != known.end()) return {};
  return moe::fail(moe::ErrorCode::bad_config,
                   fmt::format("the canary of {} is {}, expected {}: other weights, or a machine that computes wrongly",
                               row.name, found, fmt::join(known, " or ")));
}

// A stage cannot go on without the others, so an error is said before it ends all.
moe::Result<void> run(eval_rows::Options& options, const std::vector<eval_rows::Setting>& rows, Start start,
                      const std::function<moe::Result<void>()>& evaluate) {
  if (auto ok = check(options); !ok) return ok;
  const auto started = start();
  if (!started) return moe::forward(started);
  const auto go = [&]() -> moe::Result<void> {
    const auto stages = moe::Stages::join(started->transport, {.wait_seconds = options.wait_seconds});
    if (!stages) return moe::forward(stages);
    options.pipeline = std::make_shared<Pipeline>(started->transport, *stages);
    if ((*stages)->rank() > 0) return serve(options, rows);
    if (auto ok = evaluate(); !ok) return ok;
    return options.pipeline->tell_end();
  };
  const auto& transport = *started->transport;
  return cli::run_part(fmt::format("moe-eval-stages, stage {} of {}", transport.rank(), transport.size()), go,
                       [&](int status) {
                         options.pipeline.reset();  // so that the transport ends here
                         started->fail(status);
                       });
}

}  // namespace eval_stages

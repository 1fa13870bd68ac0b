// SessionModel: encodes the requests, plans one prefix tree, runs it over a Session.

#include "moe/eval/session_model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/run/reply_run.hpp"
#include "eval/run/request_plan.hpp"
#include "eval/run/score_run.hpp"
#include "moe/detail/state_layout.hpp"
#include "moe/weight_shapes.hpp"

namespace moe::inline MOE_ABI::eval {

namespace {

tl::unexpected<Error> too_long_for_cache(const batch::TreePlan& plan, std::int64_t pages, std::int64_t page_bytes) {
  return fail(ErrorCode::out_of_memory,
              fmt::format("the longest question has {} tokens; with its reply and what others share with it, the "
                          "key/value cache must hold {}, and it may hold {}: {} bytes more are needed",
                          plan.passes.longest, plan.least_pages * kPageTokens, pages * kPageTokens,
                          (plan.least_pages - pages) * page_bytes));
}

}  // namespace

struct SessionModel::Impl {
  std::shared_ptr<const Model> model;
  SessionModelOptions options;
  std::unique_ptr<Session> session;
  Work finished;  // of sessions that were replaced
  ExpertLoad finished_load;
  const Hooks* hooks = nullptr;

  std::int64_t max_length() const {
    const std::int64_t own = model->config().max_position;
    return options.max_length > 0 ? std::min(options.max_length, own) : own;
  }

  batch::TreeLimits limits() const {
    return {options.share_prefixes, batch::most_scored_rows(model->config(), {.stages = options.stages}),
            batch::long_rope_of(model->config())};
  }

  // Steps are limited by them, so that no state is dropped that is needed again; with room for a step full of short
  // sequences.
  std::int64_t usual_state_bytes() const {
    const std::int64_t sequences = std::min(options.batch_tokens, kMaxChunkTokens) / detail::kTokensPerState;
    return std::max(Session::estimate_memory(*model).state_bytes, sequences * recurrent_state_bytes(model->config()));
  }

  SessionOptions session_options(std::int64_t max_tokens) {
    SessionOptions o;
    o.precision = options.precision;
    o.kv = options.kv;
    o.threads = options.threads;
    o.chunk_tokens = options.batch_tokens;
    o.state_bytes = options.state_bytes > 0 ? options.state_bytes : usual_state_bytes();
    o.max_tokens = max_tokens;
    o.stages = options.stages;
    o.cancelled = [this] { return hooks != nullptr && hooks->cancelled && hooks->cancelled(); };
    return o;
  }

  // At least the tree's minimum; more if the budget allows, for large steps, but no more than the whole run needs.
  Result<void> prepare_session(const batch::TreePlan& plan) {
    const std::int64_t page_bytes =
        std::max<std::int64_t>(1, Session::estimate_memory(*model, session_options(kPageTokens)).cache_bytes);
    const std::int64_t affordable = options.cache_bytes / page_bytes;
    if (options.cache_is_limited && plan.least_pages > affordable)
      return too_long_for_cache(plan, affordable, page_bytes);
    // Each step of a reply is one token: as many replies at a time as a step holds tokens, up to 64.
    const std::int64_t enough = 16 * batch::pages_of(options.batch_tokens) + 4 * batch::pages_of(plan.passes.longest) +
                                std::min<std::int64_t>(options.batch_tokens, 64) * plan.reply_pages;
    const std::int64_t pages = std::max(plan.least_pages, std::min({plan.all_pages, affordable, enough}));
    const std::int64_t wanted = std::max<std::int64_t>(pages, 1) * kPageTokens;
    if (session && session->options().max_tokens >= wanted) return {};
    if (session) finished += session->executed(), finished_load.add(session->expert_load());
    session.reset();
    if (options.before_session)
      if (auto ok = options.before_session(session_options(wanted)); !ok) return ok;
    auto created = Session::create(model, session_options(wanted));
    if (!created) return forward(created);
    session = std::move(*created);
    return {};
  }
};

SessionModel::SessionModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SessionModel::~SessionModel() = default;

Result<std::unique_ptr<SessionModel>> SessionModel::create(std::shared_ptr<const Model> model,
                                                           const SessionModelOptions& options) {
  if (model == nullptr) return fail(ErrorCode::bad_argument, "model is null");
  if (!model->tokenizer())
    return fail(ErrorCode::unsupported, fmt::format("the model has no usable tokenizer: {}", model->tokenizer_error()));
  if (options.max_length < 0)
    return fail(ErrorCode::bad_argument, fmt::format("max_length is {}, expected 0 or more", options.max_length));
  if (options.batch_tokens < 1)
    return fail(ErrorCode::bad_argument, fmt::format("batch_tokens is {}, expected 1 or more", options.batch_tokens));
  auto impl = std::make_unique<Impl>();
  impl->model = std::move(model);
  impl->options = options;
  return std::unique_ptr<SessionModel>(new SessionModel(std::move(impl)));
}

Result<std::vector<Score>> SessionModel::score(std::span<const ScoreRequest> requests, const Hooks& hooks) {
  const std::int64_t max_length = impl_->max_length();
  auto encoded = encode_scores(*impl_->model->tokenizer(), requests, max_length, impl_->options.threads, hooks);
  if (!encoded) return forward(encoded);
  const batch::TreePlan plan = plan_scores(*encoded, impl_->limits());
  impl_->hooks = &hooks;
  auto done = impl_->prepare_session(plan);
  if (done) done = run_scores(*impl_->session, impl_->options.batch_tokens, plan, *encoded, hooks);
  impl_->hooks = nullptr;
  if (!done) return forward(done);
  return std::move(encoded->scores);
}

Result<std::vector<Generation>> SessionModel::generate(std::span<const GenerateRequest> requests, const Hooks& hooks) {
  const std::int64_t max_length = impl_->max_length();
  auto encoded = encode_contexts(*impl_->model->tokenizer(), requests, max_length, impl_->options.threads, hooks);
  if (!encoded) return forward(encoded);
  const batch::TreePlan plan = plan_replies(*encoded, requests, impl_->limits());
  impl_->hooks = &hooks;
  auto done = impl_->prepare_session(plan);
  if (done) done = run_replies(*impl_->session, impl_->options.batch_tokens, plan, requests, *encoded, hooks);
  impl_->hooks = nullptr;
  if (!done) return forward(done);
  return std::move(encoded->replies);
}

Result<std::vector<Score>> SessionModel::score_texts(std::span<const TextRequest> requests, const Hooks& hooks) {
  auto encoded = encode_texts(*impl_->model->tokenizer(), requests, impl_->max_length(), impl_->options.threads, hooks);
  if (!encoded) return forward(encoded);
  std::vector<std::int64_t> windows_left(requests.size(), 0);
  for (std::size_t text : encoded->owner) {
    ++windows_left[text];
    encoded->windows.tallies.push_back(requests[text].tally);
  }
  const batch::TreePlan plan = plan_scores(encoded->windows, impl_->limits());
  // A text is known when its last window is.
  std::int64_t known = 0;
  const auto add_up = [&](std::size_t text) {
    Score& score = encoded->scores[text];
    std::int64_t experts = 0;
    const auto [first, last] = std::equal_range(encoded->owner.begin(), encoded->owner.end(), text);
    for (auto w = static_cast<std::size_t>(first - encoded->owner.begin());
         w < static_cast<std::size_t>(last - encoded->owner.begin()); ++w) {
      score.log_likelihood += encoded->windows.scores[w].log_likelihood;
      if (score.failure == Failure::none) score.failure = encoded->windows.scores[w].failure;
      experts += encoded->windows.scores[w].pass_experts;
    }
    if (score.failure == Failure::none) score.pass_experts = experts;
    ++known;
    if (hooks.on_score) hooks.on_score(static_cast<std::int64_t>(text), score);
  };
  Hooks inner;
  inner.cancelled = hooks.cancelled;
  inner.on_score = [&](std::int64_t window, const Score&) {
    const std::size_t text = encoded->owner[static_cast<std::size_t>(window)];
    if (--windows_left[text] == 0) add_up(text);
  };
  inner.on_progress = [&](std::int64_t, std::int64_t) {
    if (hooks.on_progress) hooks.on_progress(known, static_cast<std::int64_t>(requests.size()));
  };
  impl_->hooks = &inner;
  auto done = impl_->prepare_session(plan);
  if (done) done = run_scores(*impl_->session, impl_->options.batch_tokens, plan, encoded->windows, inner);
  impl_->hooks = nullptr;
  if (!done) return forward(done);
  return std::move(encoded->scores);
}

Work SessionModel::text_work(std::int64_t tokens, std::int64_t experts) const {
  Work total;
  for (const TextWindow& w : text_windows(tokens, impl_->max_length()))
    total += pass_work(w.input_count(), w.end - w.begin, -1);
  if (experts >= 0) total.routed_experts = routed_expert_flops(impl_->model->config(), experts);
  return total;
}

Work SessionModel::pass_work(std::int64_t tokens, std::int64_t rows, std::int64_t experts) const {
  const ModelConfig& config = impl_->model->config();
  return experts < 0 ? forward_work(config, 0, tokens, rows, MlaForm::expanded)
                     : forward_work(config, 0, tokens, rows, MlaForm::expanded, experts);
}

ExpertLoad SessionModel::expert_load() const {
  ExpertLoad total = impl_->finished_load;
  if (impl_->session) total.add(impl_->session->expert_load());
  return total;
}

Work SessionModel::executed() const {
  Work total = impl_->finished;
  if (impl_->session) total += impl_->session->executed();
  return total;
}

std::int64_t SessionModel::max_length() const { return impl_->max_length(); }

std::int64_t SessionModel::session_bytes() const {
  if (!impl_->session) return 0;
  const MemoryEstimate memory = Session::estimate_memory(*impl_->model, impl_->session->options());
  return memory.cache_bytes + memory.state_bytes + memory.scratch_bytes;
}

}  // namespace moe::inline MOE_ABI::eval

#include "serve/api/call.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <utility>

#include "serve/api/call_format.hpp"
#include "serve/api/job_group.hpp"
#include "support/seconds_since.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

using Clock = std::chrono::steady_clock;

// Of one request; at most a quarter of what unread answers may take.
constexpr std::size_t kMostInFlightBytes = 256 << 10;

// Memory of a listed token in the JSON of an answer: a member, or in a chat an object with the token's bytes.
constexpr std::uint64_t kMemberBytes = 80, kObjectBytes = 400;

// `tokens`: of all replies together. With echo, each reply also has the positions of its prompt.
Checked<void> check_positions(const CallPlan& plan, std::uint64_t tokens, const Context& context) {
  if (!plan.logprobs) return {};
  std::uint64_t positions = tokens;
  for (const PromptPart& p : plan.prompts)
    if (plan.echo) positions += p.ids.size() * std::max(plan.best_of, plan.settings.n);
  const std::uint64_t listed = static_cast<std::uint64_t>(*plan.logprobs) + 2;  // the token itself, and the other lists
  const std::uint64_t bytes = positions * listed * (plan.is_chat ? kObjectBytes : kMemberBytes);
  if (bytes <= context.options.max_buffer_bytes) return {};
  return invalid("logprobs",
                 fmt::format("the lists of log-probabilities would exceed --buffer-memory: {} positions with {} each "
                             "take about {} bytes, expected at most {}",
                             positions, *plan.logprobs, bytes, context.options.max_buffer_bytes));
}

/// The state of one reply.
struct ReplyState {
  std::unique_ptr<CompletionLogprobs> lists;
  Generation written = {};
  std::int64_t tokens = 0;
  bool opened = false, ended = false;
};

/// Everything except the times runs on the output thread.
class Call {
 public:
  Call(const Context& context, CallPlan plan, http::Responder responder, std::shared_ptr<Notes> notes)
      : context_(context), plan_(std::move(plan)), responder_(std::move(responder)), notes_(std::move(notes)) {
    static std::atomic<std::uint64_t> next{1};
    const std::int64_t now = unix_now();
    envelope_ = {fmt::format("{}-{:x}-{}", plan_.is_chat ? "chatcmpl" : "cmpl", now, next.fetch_add(1)), plan_.model,
                 context.fingerprint, now};
    per_prompt_ = std::max(plan_.best_of, plan_.settings.n);
    replies_.resize(plan_.prompts.size() * per_prompt_);
    scores_.resize(plan_.prompts.size());
    left_ = plan_.prompts.size();
    for (const PromptPart& p : plan_.prompts) usage_.prompt += static_cast<std::int64_t>(p.ids.size());
    if (context.options.log_content) note_prompts();
  }

  const CallPlan& plan() const { return plan_; }
  const Context& context() const { return context_; }
  Clock::time_point started() const { return started_; }
  Notes& notes() { return *notes_; }
  std::size_t largest_event() const { return largest_event_; }
  void when_sent(std::function<void()> done) const { responder_.when_sent(std::move(done)); }

  void admitted() {
    if (!plan_.settings.stream || std::exchange(streaming_, true)) return;
    http::StreamHead head{
        "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}, ": ping\n\n"};
    if (!plan_.ignored.empty()) head.headers.push_back({"x-moe-ignored", plan_.ignored});
    responder_.start(std::move(head));
  }

  void scored(std::size_t prompt, std::vector<PositionLogProbabilities> scores) { scores_[prompt] = std::move(scores); }

  void piece(std::size_t prompt, std::size_t reply, std::string text, std::vector<TokenId> tokens,
             std::vector<PositionLogProbabilities> scores) {
    ReplyState& state = open(prompt, reply);
    usage_.reply += static_cast<std::int64_t>(tokens.size());
    ChoiceParts parts;
    parts.index = prompt * plan_.settings.n + reply;
    parts.logprobs = logprobs_of(state, tokens, scores);
    if (text.empty() && parts.logprobs.is_null()) return;
    parts.text = std::move(text);
    send_choice(std::move(parts), false);
  }

  void ended(std::size_t prompt, std::size_t reply, Generation written) {
    context_.metrics.count_reply(finish_reason(written.end));
    usage_.flops += written.flops;
    usage_.prompt_seconds = std::max(usage_.prompt_seconds, written.prompt_seconds);
    usage_.reply_seconds = std::max(usage_.reply_seconds, written.reply_seconds);
    if (reply == 0) usage_.cached += written.reused_tokens;
    if (plan_.settings.stream) {
      open(prompt, reply);
      ChoiceParts parts = end_of(prompt, reply, written);
      if (plan_.settings.include_stop) parts.text = written.stop;
      send_choice(std::move(parts), false);
    } else {
      usage_.reply += static_cast<std::int64_t>(written.tokens.size());
    }
    replies_[prompt * per_prompt_ + reply].ended = true;
    replies_[prompt * per_prompt_ + reply].written = std::move(written);
  }

  void finished(std::size_t prompt) {
    if (is_over_) return;
    // A prompt that is only scored also has replies, without tokens, whose ends the queue need not report.
    for (std::size_t k = 0; k < per_prompt_ && !writes_replies(); ++k)
      if (!replies_[prompt * per_prompt_ + k].ended) ended(prompt, k, {});
    if (--left_ > 0) return;
    if (!plan_.settings.stream)
      if (const auto ok = check_positions(plan_, written_tokens(), context_); !ok) return failed(ok.error());
    is_over_ = true;
    note_usage();
    if (!plan_.settings.stream) return responder_.answer(whole());
    if (plan_.settings.include_usage) {
      Json last = envelope_json(envelope_, plan_, true);
      last["choices"] = Json::array();
      last["usage"] = usage_json(usage_, plan_.settings.include_work);
      responder_.send("data: " + json_text(last) + "\n\n");
    }
    responder_.send("data: [DONE]\n\n");
    responder_.finish();
  }

  void failed(const ApiError& error) {
    if (std::exchange(is_over_, true)) return;
    context_.metrics.count_refusal(error);
    note_usage();
    if (!streaming_) return responder_.answer(error_response(error));
    responder_.send("data: " + error_body(error) + "\n\n");
    responder_.abort();
  }

 private:
  bool writes_replies() const { return plan_.settings.max_tokens != 0; }

  std::uint64_t written_tokens() const {
    std::uint64_t count = 0;
    for (const ReplyState& reply : replies_) count += reply.written.tokens.size();
    return count;
  }

  SpecialTokens special() const { return plan_.settings.options.special_tokens; }

  // The first event of a choice: the role, or the prompt that is echoed.
  ReplyState& open(std::size_t prompt, std::size_t reply) {
    ReplyState& state = replies_[prompt * per_prompt_ + reply];
    if (std::exchange(state.opened, true)) return state;
    ChoiceParts parts;
    parts.index = prompt * plan_.settings.n + reply;
    if (plan_.is_chat) {
      send_choice(std::move(parts), true);
      return state;
    }
    start_lists(state, prompt);
    if (!plan_.echo) return state;
    parts.text = plan_.prompts[prompt].echo;
    if (state.lists) parts.logprobs = state.lists->take();
    send_choice(std::move(parts), true);
    return state;
  }

  void start_lists(ReplyState& state, std::size_t prompt) {
    if (plan_.is_chat || !plan_.logprobs) return;
    state.lists = std::make_unique<CompletionLogprobs>(context_.tokenizer(), special());
    if (plan_.echo) state.lists->add_prompt(plan_.prompts[prompt].ids, plan_.prompts[prompt].shown, scores_[prompt]);
  }

  Json logprobs_of(ReplyState& state, std::span<const TokenId> tokens,
                   std::span<const PositionLogProbabilities> scores) {
    if (!plan_.logprobs || tokens.empty()) return nullptr;
    if (plan_.is_chat)
      return {{"content", chat_logprobs(context_.tokenizer(), scores, static_cast<std::size_t>(*plan_.logprobs))}};
    state.lists->add(tokens, scores);
    return state.lists->take();
  }

  ChoiceParts end_of(std::size_t prompt, std::size_t reply, const Generation& written) const {
    ChoiceParts parts;
    parts.index = prompt * plan_.settings.n + reply;
    parts.finish_reason = finish_reason(written.end);
    parts.stop_reason = stop_reason(written, plan_.settings);
    if (plan_.settings.shows_seed) parts.seed = written.seed;
    return parts;
  }

  void send_choice(ChoiceParts parts, bool is_first) {
    Json event = envelope_json(envelope_, plan_, true);
    event["choices"] = Json::array({event_choice(plan_, std::move(parts), is_first)});
    if (plan_.settings.continuous_usage) event["usage"] = usage_json(usage_, false);
    std::string text = "data: " + json_text(event) + "\n\n";
    largest_event_ = std::max(largest_event_, text.size());
    responder_.send(std::move(text));
  }

  // The replies to return, the best ones if there are more.
  std::vector<std::size_t> chosen(std::size_t prompt) const {
    std::vector<std::size_t> order(per_prompt_);
    std::vector<double> mean(per_prompt_, 0.0);
    for (std::size_t k = 0; k < per_prompt_; ++k) {
      order[k] = k;
      const auto& scores = replies_[prompt * per_prompt_ + k].written.log_probabilities;
      for (const auto& s : scores) mean[k] += s.chosen.log_probability;
      if (!scores.empty()) mean[k] /= static_cast<double>(scores.size());
    }
    if (per_prompt_ > plan_.settings.n)
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return mean[a] > mean[b]; });
    order.resize(plan_.settings.n);
    return order;
  }

  http::Response whole() {
    Json answer = envelope_json(envelope_, plan_, false);
    Json choices = Json::array();
    for (std::size_t p = 0; p < plan_.prompts.size(); ++p) {
      std::size_t place = 0;
      for (const std::size_t k : chosen(p)) {
        ReplyState& state = replies_[p * per_prompt_ + k];
        ChoiceParts parts = end_of(p, place++, state.written);
        start_lists(state, p);
        if (state.lists) {
          state.lists->add(state.written.tokens, state.written.log_probabilities);
          parts.logprobs = state.lists->take();
        } else if (plan_.logprobs) {
          parts.logprobs = logprobs_of(state, state.written.tokens, state.written.log_probabilities);
        }
        parts.text = (plan_.echo ? plan_.prompts[p].echo : "") + state.written.text;
        if (plan_.settings.include_stop) parts.text += state.written.stop;
        choices.push_back(whole_choice(plan_, std::move(parts)));
      }
    }
    answer["choices"] = std::move(choices);
    answer["usage"] = usage_json(usage_, plan_.settings.include_work);
    http::Response response{200, json_text(answer), "application/json", {}};
    if (!plan_.ignored.empty()) response.headers.push_back({"x-moe-ignored", plan_.ignored});
    return response;
  }

  void note_usage() {
    const std::lock_guard lock(notes_->mutex);
    notes_->prompt_tokens = usage_.prompt;
    notes_->reply_tokens = usage_.reply;
    if (!context_.options.log_content) return;
    for (const ReplyState& reply : replies_) notes_->replies.push_back(reply.written.text);
  }
  void note_prompts() {
    const std::lock_guard lock(notes_->mutex);
    for (const PromptPart& p : plan_.prompts)
      notes_->prompts.push_back(context_.tokenizer().decode(p.ids, SpecialTokens::show).value_or(std::string()));
  }

  const Context& context_;
  CallPlan plan_;
  http::Responder responder_;
  std::shared_ptr<Notes> notes_;
  Envelope envelope_;
  Clock::time_point started_ = Clock::now();
  std::size_t per_prompt_ = 1, left_ = 0, largest_event_ = 0;
  std::vector<ReplyState> replies_;
  std::vector<std::vector<PositionLogProbabilities>> scores_;
  Usage usage_;
  bool streaming_ = false, is_over_ = false;
};

/// Forwards events from the scheduler's thread to the output thread.
class CallSink final : public JobSink {
 public:
  CallSink(std::shared_ptr<Call> call, std::shared_ptr<JobGroup> jobs, std::size_t prompt)
      : call_(std::move(call)), jobs_(std::move(jobs)), prompt_(prompt) {}

  void on_admitted() override {
    metrics().observe(Metrics::Measure::queue, seconds_since(call_->started()));
    post([](Call& call, std::size_t) { call.admitted(); });
  }
  void on_prompt_scores(std::vector<PositionLogProbabilities> scores) override {
    post([scores = std::move(scores)](Call& call, std::size_t p) mutable { call.scored(p, std::move(scores)); });
  }
  void on_piece(std::size_t reply, std::string_view text, std::span<const TokenId> tokens,
                std::span<const PositionLogProbabilities> scores) override {
    take_time(reply);
    if (!call_->plan().settings.stream) return;
    jobs_->event_left();
    post([reply, text = std::string(text), tokens = std::vector(tokens.begin(), tokens.end()),
          scores = std::vector(scores.begin(), scores.end()), jobs = jobs_](Call& call, std::size_t p) mutable {
      call.piece(p, reply, std::move(text), std::move(tokens), std::move(scores));
      call.when_sent([jobs, largest = call.largest_event()] { jobs->event_arrived(largest); });
    });
  }
  void on_end(std::size_t reply, const Generation& written) override {
    post([reply, written](Call& call, std::size_t p) mutable { call.ended(p, reply, std::move(written)); });
  }
  void on_finished() override {
    post([](Call& call, std::size_t p) { call.finished(p); });
  }
  void on_failed(const Error& error) override {
    post([error, jobs = jobs_](Call& call, std::size_t) {
      jobs->cancel();
      call.failed(from_running(error));
    });
  }

 private:
  Metrics& metrics() { return call_->context().metrics; }

  template <class Task>
  void post(Task task) {
    call_->context().output.post(
        [call = call_, prompt = prompt_, task = std::move(task)]() mutable { task(*call, prompt); });
  }

  // Between the tokens of each reply; several of them get a token in the same step.
  void take_time(std::size_t reply) {
    const auto now = Clock::now();
    if (last_.empty()) {
      const double seconds = seconds_since(call_->started());
      metrics().observe(Metrics::Measure::first_token, seconds);
      const std::lock_guard lock(call_->notes().mutex);
      if (call_->notes().first_token_seconds < 0) call_->notes().first_token_seconds = seconds;
    }
    if (last_.size() <= reply) last_.resize(reply + 1);
    if (last_[reply] != Clock::time_point())
      metrics().observe(Metrics::Measure::between_tokens, std::chrono::duration<double>(now - last_[reply]).count());
    last_[reply] = now;
  }

  std::shared_ptr<Call> call_;
  std::shared_ptr<JobGroup> jobs_;
  std::size_t prompt_;
  std::vector<Clock::time_point> last_;  // [reply] of its last token; grows as replies begin
};

Job job_of(const CallPlan& plan, const PromptPart& prompt) {
  Job job;
  job.prompt = prompt.ids;
  job.options = plan.settings.options;
  job.options.max_tokens = plan.settings.max_tokens.value_or(0);
  job.options.replies = static_cast<std::int64_t>(std::max(plan.best_of, plan.settings.n));
  job.options.log_probabilities = plan.logprobs;
  if (plan.best_of > plan.settings.n && !plan.logprobs) job.options.log_probabilities = 0;
  job.min_tokens = plan.settings.min_tokens;
  if (plan.echo && plan.logprobs)
    job.score_prompt = plan.logprobs;
  else if (plan.settings.max_tokens == 0)
    job.score_prompt = 0;  // the prompt is all there is to do
  job.owner = plan.owner;
  return job;
}

// Fields and ids were checked before: what is out of its range here is the context or the cache.
ApiError from_queue(const Error& error) {
  ApiError out = from_library(error);
  if (error.code == ErrorCode::bad_argument) out.code = "context_length_exceeded";
  return out;
}

}  // namespace

Checked<void> check_lists(const CallPlan& plan, const Context& context) {
  const std::uint64_t replies = plan.prompts.size() * std::max(plan.best_of, plan.settings.n);
  const auto limit = static_cast<std::uint64_t>(plan.settings.max_tokens.value_or(0));
  return check_positions(plan, plan.settings.stream ? 0 : replies * limit, context);
}

void start_call(const Context& context, CallPlan plan, http::Responder responder, std::shared_ptr<Notes> notes) {
  auto jobs =
      std::make_shared<JobGroup>(context.queue, std::min(kMostInFlightBytes, context.options.max_buffer_bytes / 4));
  responder.listen({[jobs] { jobs->cancel(); }, [jobs](bool pressed) { jobs->set_pressed(pressed); }});
  auto call = std::make_shared<Call>(context, std::move(plan), std::move(responder), std::move(notes));
  const auto refuse = [&](ApiError error) {
    jobs->cancel();
    context.output.post([call, error = std::move(error)] { call->failed(error); });
  };
  const auto most = static_cast<std::size_t>(context.options.scheduler.max_sequences);
  if (const std::size_t asked = std::max(call->plan().best_of, call->plan().settings.n); asked > most) {
    const auto wrong = invalid(
        call->plan().best_of > most ? "best_of" : "n",
        fmt::format("{} replies to a prompt, expected at most {}, which is what runs at one time", asked, most));
    return refuse(wrong.value());
  }
  // All of them before the first one may be admitted, which is status 200 of a stream.
  std::vector<Job> all;
  for (const PromptPart& prompt : call->plan().prompts) {
    all.push_back(job_of(call->plan(), prompt));
    if (const auto ok = context.queue.check(all.back()); !ok) return refuse(from_queue(ok.error()));
  }
  for (std::size_t p = 0; p < all.size(); ++p) {
    const auto id = context.queue.submit(std::move(all[p]), std::make_shared<CallSink>(call, jobs, p));
    if (!id) return refuse(from_queue(id.error()));
    jobs->add(*id);
  }
}

}  // namespace moe::inline MOE_ABI::serve::api

// The scheduler under random events: jobs of all kinds come and go, are paused and cancelled, in caches far too small.
// After each event the counters must be consistent, and each answer must equal that of the job alone.

#include <iostream>
#include <random>

#include "serve_support.hpp"

using namespace moe_test;

namespace {

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed) : random_(seed), tokenizer_(serve_tokenizer()) {
    model_.tokenizer = tokenizer_.get();
    model_.poisoned = below(3) == 0 ? 499 : 0;
    SchedulerOptions o;
    o.batch_tokens = pick({1, 16, 64, 512});
    o.max_sequences = pick({4, 16, 64});
    o.max_queue = pick({4, 24});
    o.logit_memory = pick({1, 5, 300}) * 4 * model_.rows;
    pages_ = pick({5, 8, 14, 60});
    if (const auto kept = pick({-1, 0, 128, 640}); kept >= 0) o.prefix_cache_tokens = kept;
    o.reorder_window = pick({0, 3, 64});
    o.max_step_ms = 0;
    o.isolate_owners = below(4) == 0;
    options_ = o;
    auto engine = std::make_unique<FakeEngine>(model_, pages_);
    engine_ = engine.get();
    scheduler_ = std::move(*Scheduler::create(std::move(engine), o));
    // Admission leaves room, so real shortage is rare: more is simulated, as long as some job can be preempted.
    engine_->refuses = [this] { return refusals_ > 0 && holders() > 1 && refusals_-- > 0; };
    const std::uint64_t longest = below(2) == 0 ? 20 : 180;
    longest_reply_ = static_cast<std::uint64_t>(pick({60, 200, 380}));
    for (auto& trunk : trunks_)
      for (std::uint64_t n = 1 + below(longest); n > 0; --n) trunk.push_back(token());
  }

  void run(int events) {
    for (int i = 0; i < events; ++i) {
      const auto what = below(1000);
      if (what < 80)
        for (std::uint64_t burst = 1 + below(5); burst > 0; --burst) submit();
      else if (what < 105)
        any([&](JobId id) { cancel(id); });
      else if (what < 115)
        any([&](JobId id) { scheduler_->pause(id); });
      else if (what < 145)
        any([&](JobId id) { scheduler_->resume(id); });
      else
        step();
      check();
    }
    if (below(3) == 0) {
      scheduler_->drain();
      drained_ = true;
      CHECK(!scheduler_->submit(job(), std::make_shared<RecordingSink>(Job{})).has_value());
    }
    finish();
  }

  std::int64_t preemptions() const { return scheduler_->counters().preemptions; }
  std::int64_t reused() const { return scheduler_->counters().reused_tokens; }
  std::int64_t prompt_tokens() const { return scheduler_->counters().prompt_tokens; }
  std::int64_t answers = 0, failures = 0;

 private:
  struct Running {
    Job job;
    std::shared_ptr<RecordingSink> sink;
  };

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::int64_t pick(std::initializer_list<std::int64_t> list) { return list.begin()[below(list.size())]; }
  TokenId token() { return static_cast<TokenId>("ab \n"[below(4)]); }

  Job job() {
    Job j;
    const auto& trunk = trunks_[below(std::size(trunks_))];
    j.prompt.assign(trunk.begin(),
                    trunk.begin() + static_cast<long>(below(3) == 0 ? trunk.size() : below(trunk.size())));
    for (std::uint64_t n = below(2) == 0 ? 0 : below(20); n > 0; --n) j.prompt.push_back(token());
    if (j.prompt.empty()) j.prompt.push_back(token());
    GenerateOptions& o = j.options;
    if (below(3) == 0) j.score_prompt = pick({0, 1, 1, 3});
    o.max_tokens =
        below(4) == 0 && j.score_prompt
            ? 0
            : 1 + static_cast<std::int64_t>(below(longest_reply_ > 60 || below(2) == 0 ? longest_reply_ : 12));
    if (below(40) == 0) o.max_tokens = 0;
    if (longest_reply_ > 60 && below(4) > 0) o.end_tokens = moe::EndTokens::ignore;
    o.replies = below(3) == 0 ? 1 + static_cast<std::int64_t>(below(4)) : 1;
    o.sampling.temperature = below(2) == 0 ? 0.0 : 1.0;
    o.sampling.seed = random_();
    if (below(4) == 0) o.sampling.frequency_penalty = 0.5;
    if (below(4) == 0) o.sampling.repetition_penalty = 1.1;
    if (below(3) == 0) o.stop = {below(2) == 0 ? "abba" : "  b"};
    if (below(4) == 0) o.log_probabilities = static_cast<std::int64_t>(below(3));
    if (below(5) == 0 && o.max_tokens > 0) j.min_tokens = std::min<std::int64_t>(o.max_tokens, 6);
    j.owner = std::string(1, static_cast<char>('A' + below(3)));
    return j;
  }

  void step() {
    refusals_ = below(40) == 0 ? 1 + below(6) : 0;
    scheduler_->step();
    REQUIRE(scheduler_->index().tokens_held() <= limit());
  }
  std::int64_t limit() const { return options_.prefix_cache_tokens.value_or(pages_ * moe::kPageTokens / 2); }
  std::int64_t holders() const {
    const auto& running = scheduler_->roster().running();
    return std::count_if(running.begin(), running.end(), [](const auto* job) { return job->holds_sequences(); });
  }

  void submit() {
    const Job j = job();
    auto sink = std::make_shared<RecordingSink>(j);
    const auto id = scheduler_->submit(j, sink);
    if (id)
      running_[*id] = {j, sink};
    else if (id.error().code != moe::ErrorCode::out_of_memory)  // a full queue
      CHECK_MESSAGE(id.error().code == moe::ErrorCode::bad_argument, id.error().message);
  }
  void cancel(JobId id) {
    scheduler_->cancel(id);
    const auto sink = running_[id].sink;
    running_.erase(id);
    scheduler_->step();
    if (!sink->is_over) sink->forbid();
    cancelled_.push_back(sink);
  }
  template <class Do>
  void any(Do&& act) {
    if (running_.empty()) return;
    auto job = running_.begin();
    std::advance(job, static_cast<long>(below(running_.size())));
    act(job->first);
  }

  // As take_in resolves it, written down a second time.
  std::int64_t max_tokens(const Job& j) const {
    if (j.options.max_tokens > 0) return j.options.max_tokens;
    const auto prompt = static_cast<std::int64_t>(j.prompt.size());
    std::int64_t most = 0;
    for (std::int64_t m = 1; prompt + m - 1 <= model_.context; ++m) {
      const std::int64_t pages = (prompt + m - 1 + 63) / 64, shared = prompt / 64;
      if (shared + j.options.replies * (pages - shared) <= pages_) most = m;
    }
    return most;
  }

  void check() {
    const auto held = scheduler_->held_sequences();
    const std::set<moe::Sequence> once(held.begin(), held.end());
    REQUIRE(once.size() == held.size());
    REQUIRE(once == engine_->open_sequences());
    REQUIRE(engine_->pages_add_up());
    REQUIRE(engine_->misuses == 0);
    check_states();
    for (auto j = running_.begin(); j != running_.end();) {
      REQUIRE_MESSAGE(j->second.sink->broken.empty(), j->second.sink->broken);
      if (!j->second.sink->is_over) {
        ++j;
        continue;
      }
      check_answer(j->second);
      j = running_.erase(j);
    }
    for (const auto& sink : cancelled_) REQUIRE_MESSAGE(sink->broken.empty(), sink->broken);
    if (cancelled_.size() > 20) cancelled_.clear();
  }

  void check_states() {
    const auto& roster = scheduler_->roster();
    REQUIRE(roster.waiting().size() + roster.preempted().size() + roster.running().size() == roster.jobs().size());
    using moe::serve::JobState;
    const auto all_are = [](const auto& list, JobState state) {
      return std::all_of(list.begin(), list.end(), [&](const auto* job) {
        return job->state == state && (state == JobState::running || !job->holds_sequences());
      });
    };
    REQUIRE(all_are(roster.waiting(), JobState::waiting));
    REQUIRE(all_are(roster.preempted(), JobState::preempted));
    REQUIRE(all_are(roster.running(), JobState::running));
    for (const auto* job : roster.waiting()) REQUIRE(job->passed <= options_.reorder_window);
  }

  void check_answer(const Running& r) {
    if (drained_ && r.sink->answer.failed == "cancelled") return;
    const Answer expected = answer_alone(model_, r.job, max_tokens(r.job));
    REQUIRE(r.sink->answer.failed == expected.failed);
    REQUIRE(r.sink->answer.scores == expected.scores);
    REQUIRE(r.sink->answer.replies == expected.replies);
    ++answers;
    failures += !expected.failed.empty();
  }

  // Everything ends when no job is paused any more; then only the index holds sequences.
  void finish() {
    for (const auto& [id, job] : running_) scheduler_->resume(id);
    int steps = 0;
    while (scheduler_->step()) {
      check();
      REQUIRE(++steps < 100000);
    }
    check();
    REQUIRE(running_.empty());
    REQUIRE(scheduler_->is_empty());
    auto& index = scheduler_->index();
    REQUIRE(index.leaves().size() == engine_->open_sequences().size());
    REQUIRE(index.tokens_held() <= limit());
    REQUIRE(scheduler_->counters().waiting + scheduler_->counters().running + scheduler_->counters().paused == 0);
    index.clear();
    REQUIRE(engine_->free_tokens() == engine_->cache_tokens());
  }

  std::mt19937_64 random_;
  SharedTokenizer tokenizer_;
  FakeModel model_;
  SchedulerOptions options_;
  std::int64_t pages_ = 0;
  std::uint64_t longest_reply_ = 0, refusals_ = 0;
  FakeEngine* engine_ = nullptr;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<TokenId> trunks_[5];
  std::map<JobId, Running> running_;
  std::vector<std::shared_ptr<RecordingSink>> cancelled_;
  bool drained_ = false;
};

struct Totals {
  std::int64_t answers = 0, failures = 0, preemptions = 0, reused = 0, prompts = 0;
};

// Every event is checked while it happens (Simulation::run).
Totals simulate(std::uint64_t rounds, int events) {
  Totals all;
  for (std::uint64_t seed = 1; seed <= rounds; ++seed) {
    CAPTURE(seed);
    Simulation simulation(seed);
    simulation.run(events);
    all.answers += simulation.answers, all.failures += simulation.failures;
    all.preemptions += simulation.preemptions(), all.reused += simulation.reused();
    all.prompts += simulation.prompt_tokens();
  }
  std::cout << rounds * static_cast<std::uint64_t>(events) << " events: " << all.answers << " answers, " << all.failures
            << " of them failures, " << all.preemptions << " preemptions, " << all.reused << " of " << all.prompts
            << " tokens of prompts reused\n";
  return all;
}

}  // namespace

TEST_CASE("20,000 random events: the books balance, each answer is that of the job alone") {
  const Totals all = simulate(40, 500);
  CHECK(all.answers > 500);
  CHECK(all.preemptions > 0);
  CHECK(all.reused > 0);
  CHECK(all.failures > 0);
}

TEST_CASE("full: 1,000,000 random events" * doctest::skip()) {
  const Totals all = simulate(500, 2000);
  CHECK(all.answers > 25000);
  CHECK(all.preemptions > 0);
  CHECK(all.reused > 0);
  CHECK(all.failures > 0);
}

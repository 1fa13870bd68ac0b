// What the scheduler promises beyond equal answers: who runs when, what is not computed twice, what is refused.

#include <thread>

#include "serve/scheduler_thread.hpp"
#include "serve_support.hpp"

using namespace moe_test;

namespace {

struct Setting {
  SchedulerOptions options = {};
  std::int64_t pages = 64;
  FakeModel model = {};
};

/// A scheduler over a fake engine, and the sinks of what was submitted.
struct Server {
  explicit Server(const Setting& s = {}) : tokenizer(serve_tokenizer()), model(s.model) {
    model.tokenizer = tokenizer.get();
    auto made = std::make_unique<FakeEngine>(model, s.pages);
    engine = made.get();
    SchedulerOptions options = s.options;
    options.max_step_ms = 0;
    auto created = Scheduler::create(std::move(made), options);
    REQUIRE_MESSAGE(created.has_value(), created.error().message);
    scheduler = std::move(*created);
  }
  std::shared_ptr<RecordingSink> submit(const Job& job) {
    auto sink = std::make_shared<RecordingSink>(job);
    const auto id = scheduler->submit(job, sink);
    REQUIRE_MESSAGE(id.has_value(), id.error().message);
    last = *id;
    return sink;
  }
  std::string refusal(const Job& job) {
    const auto id = scheduler->submit(job, std::make_shared<RecordingSink>(job));
    REQUIRE(!id.has_value());
    return std::string(name_of(id.error().code)) + ": " + id.error().message;
  }
  void finish() {
    while (scheduler->step()) {
    }
    CHECK(scheduler->is_empty());
  }
  /// Tokens that the engine ran for it.
  std::int64_t cost(const Job& job) {
    const std::int64_t before = engine->tokens_run;
    const auto sink = submit(job);
    finish();
    CHECK(sink->answer == answer_alone(model, job, job.options.max_tokens));
    return engine->tokens_run - before;
  }

  SharedTokenizer tokenizer;
  FakeModel model;
  FakeEngine* engine = nullptr;
  std::unique_ptr<Scheduler> scheduler;
  JobId last = 0;
};

std::vector<TokenId> words(std::uint64_t seed, std::size_t count) {
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>("ab "[(seed = mix(seed + 1)) % 3]);
  return ids;
}
std::vector<TokenId> operator+(std::vector<TokenId> a, const std::vector<TokenId>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Job job_of(std::vector<TokenId> prompt, std::int64_t max_tokens) {
  Job job;
  job.prompt = std::move(prompt);
  job.options.max_tokens = max_tokens;
  job.options.end_tokens = moe::EndTokens::ignore;
  return job;
}
Job score_of(std::vector<TokenId> prompt, std::int64_t best = 1, std::int64_t max_tokens = 1) {
  Job job = job_of(std::move(prompt), max_tokens);
  job.score_prompt = best;
  return job;
}

}  // namespace

TEST_CASE("replies get a token in every step while long prompts go on in slices") {
  Server s({.options = {.batch_tokens = 16}});
  const auto reply = s.submit(job_of(words(1, 5), 40));
  s.scheduler->step();
  REQUIRE(reply->pieces == 1);
  const auto prompt = s.submit(job_of(words(2, 300), 2));
  for (std::size_t i = 2; i < 20; ++i) {
    REQUIRE(s.scheduler->step());
    CHECK(reply->pieces == i);
    CHECK(s.engine->last_batch.size() == 2);
  }
  CHECK(prompt->pieces == 0);
  CHECK(s.scheduler->roster().find(s.last)->trunk_length == 18 * 16);
  s.finish();
}

TEST_CASE("prompts of several owners go on in turns, whoever came first") {
  Server s({.options = {.batch_tokens = 128}});
  Job a = job_of(words(1, 300), 1), b = job_of(words(2, 300), 1);
  a.owner = "a", b.owner = "b";
  for (int i = 0; i < 5; ++i) s.submit(a), a.prompt = words(static_cast<std::uint64_t>(10 + i), 300);
  s.submit(b);
  s.scheduler->step();
  CHECK(s.scheduler->roster().find(1)->trunk_length == 64);
  CHECK(s.scheduler->roster().find(2)->trunk_length == 0);
  CHECK(s.scheduler->roster().find(6)->trunk_length == 64);
  s.finish();
}

TEST_CASE("of several owners each comes first in turn, however little fits into a step") {
  Server s({.options = {.batch_tokens = 16}});
  Job a = job_of(words(1, 300), 1), b = job_of(words(2, 300), 1);
  a.owner = "a", b.owner = "b";
  s.submit(a), s.submit(b);
  for (std::int64_t step = 1; step < 10; ++step) {
    s.scheduler->step();
    CHECK(s.scheduler->roster().find(1)->trunk_length == (step + 1) / 2 * 16);
    CHECK(s.scheduler->roster().find(2)->trunk_length == step / 2 * 16);
  }
  s.finish();
}

TEST_CASE("owners' jobs begin in turns, however many one of them has in the queue") {
  Server s({.options = {.max_sequences = 1}});
  std::string begun;
  struct Sink : JobSink {
    Sink(std::string& all, char name) : begun(all), owner(name) {}
    void on_admitted() override { begun += owner; }
    std::string& begun;
    char owner;
  };
  std::uint64_t seed = 0;
  for (const char owner : std::string_view("aaaaabbca")) {
    Job job = job_of(words(++seed, 20), 2);
    job.owner = std::string(1, owner);
    REQUIRE(s.scheduler->submit(job, std::make_shared<Sink>(begun, owner)));
  }
  s.finish();
  CHECK(begun == "abcabaaaa");
}

TEST_CASE("positions with logits are bounded in every step, and replies do not keep prompts from theirs") {
  Server s({.options = {.logit_memory = 5 * 4 * 262}});
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (std::uint64_t i = 0; i < 8; ++i) sinks.push_back(s.submit(job_of(words(i, 4), 20)));
  sinks.push_back(s.submit(score_of(words(30, 40), 2, 3)));
  while (s.scheduler->step()) CHECK(s.engine->last_rows <= 5);
  for (const auto& sink : sinks) CHECK(sink->is_over);
}

TEST_CASE("a prompt is computed once for all its replies") {
  Server s;
  Job job = job_of(words(1, 100), 11);
  job.options.replies = 5;
  job.options.sampling.temperature = 1;
  CHECK(s.cost(job) == 100 + 5 * 10);
}

TEST_CASE("what comes again goes on from what is kept, scores too") {
  Server s;
  const auto shared = words(1, 150);
  CHECK(s.cost(job_of(shared, 1)) == 150);
  CHECK(s.cost(job_of(shared, 1)) == 1);                    // its last logits
  CHECK(s.cost(job_of(shared + words(2, 7), 3)) == 7 + 2);  // the last token is never run
  CHECK(s.cost(score_of(shared + words(2, 7))) == 157);     // no scores are known
  CHECK(s.cost(score_of(shared + words(2, 7))) == 1);
  CHECK(s.cost(score_of(shared + words(2, 7), 0, 0)) == 0);   // nothing is left to be computed
  CHECK(s.cost(score_of(shared + words(3, 4), 0)) <= 1 + 4);  // the logits of the last shared token
  CHECK(s.cost(score_of(shared + words(2, 7), 3)) == 157);    // more than what is kept was asked for
  CHECK(s.cost(score_of(shared, 1, 0)) == 0);
  CHECK(s.scheduler->counters().flops_saved == s.scheduler->counters().reused_tokens);
  Server off({.options = {.prefix_cache_tokens = 0}});
  CHECK(off.cost(job_of(shared, 1)) == 150);
  CHECK(off.cost(job_of(shared, 1)) == 150);
  CHECK(off.engine->open_sequences().empty());
}

TEST_CASE("the next turn of a conversation costs the last token of the reply and its own") {
  Server s;
  const auto first = s.submit(job_of(words(1, 30), 10));
  s.finish();
  CHECK(s.engine->tokens_run == 30 + 9);
  CHECK(s.cost(job_of(words(1, 30) + first->generations.at(0).tokens + words(2, 5), 1)) == 1 + 5);
  CHECK(s.engine->misuses == 0);
}

TEST_CASE("of jobs that come together and share a beginning, one computes it") {
  for (const bool scored : {false, true}) {
    Server s;
    const auto shared = words(1, 200);
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    std::vector<Job> jobs;
    for (std::uint64_t i = 0; i < 4; ++i)
      jobs.push_back(scored ? score_of(shared + words(10 + i, 5)) : job_of(shared + words(10 + i, 5), 1));
    for (const Job& job : jobs) sinks.push_back(s.submit(job));
    s.finish();
    CHECK(s.engine->tokens_run <= 200 + 4 * (5 + (scored ? 1 : 0)));
    for (std::size_t i = 0; i < 4; ++i) CHECK(sinks[i]->answer == answer_alone(s.model, jobs[i], 1));
  }
}

TEST_CASE("with isolated owners nobody goes on from what another one asked") {
  for (const bool isolated : {false, true}) {
    Server s({.options = {.isolate_owners = isolated}});
    Job a = job_of(words(1, 100), 1), b = a;
    a.owner = "a", b.owner = "b";
    CHECK(s.cost(a) == 100);
    CHECK(s.cost(b) == (isolated ? 100 : 1));
    CHECK(s.cost(a) == 1);
  }
}

TEST_CASE("the waiting job that shares most goes first, and none is passed over too often") {
  for (const std::int64_t window : {0, 3}) {
    Server s({.options = {.max_sequences = 1, .reorder_window = window}});
    const auto shared = words(1, 100);
    static_cast<void>(s.cost(job_of(shared, 1)));
    s.submit(job_of(words(50, 20), 2));
    s.scheduler->step();  // it runs, all others wait
    const auto other = s.submit(job_of(words(60, 20), 1));
    std::vector<std::shared_ptr<RecordingSink>> kin;
    for (std::uint64_t i = 0; i < 6; ++i) kin.push_back(s.submit(job_of(shared + words(70 + i, 3), 1)));
    while (!other->is_over) REQUIRE(s.scheduler->step());
    CHECK(std::count_if(kin.begin(), kin.end(), [](const auto& sink) { return sink->is_over; }) == window);
    s.finish();
  }
}

TEST_CASE("the youngest makes room and the oldest never does") {
  Server s({.pages = 8});
  std::vector<Job> jobs;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (std::uint64_t i = 0; i < 4; ++i) jobs.push_back(job_of(words(i, 10), 190));
  for (const Job& job : jobs) sinks.push_back(s.submit(job));
  std::size_t pieces = 0;
  while (s.scheduler->step()) {
    if (sinks[0]->is_over) continue;
    CHECK(sinks[0]->pieces == ++pieces);
  }
  CHECK(s.scheduler->counters().preemptions > 0);
  for (std::size_t i = 0; i < 4; ++i) CHECK(sinks[i]->answer == answer_alone(s.model, jobs[i], 190));
}

TEST_CASE("who is paused computes nothing, keeps its place, and makes room first") {
  Server s({.pages = 8});
  const Job job = job_of(words(1, 10), 190), other = job_of(words(2, 10), 400 - 10);
  const auto paused = s.submit(job);
  for (int i = 0; i < 100; ++i) s.scheduler->step();
  s.scheduler->pause(s.last);
  CHECK(!s.scheduler->step());
  CHECK(s.scheduler->counters().paused == 1);
  CHECK(paused->pieces == 100);
  const JobId id = s.last;
  const auto written = s.submit(other);
  while (s.scheduler->step()) {
  }
  CHECK(written->is_over);
  CHECK(paused->pieces == 100);
  CHECK(s.scheduler->counters().preemptions == 1);
  s.scheduler->resume(id);
  s.finish();
  CHECK(paused->answer == answer_alone(s.model, job, 190));
}

TEST_CASE("a shortage that no one can make room for fails the oldest job, and the next one goes on") {
  Server s;
  bool is_short = true;
  s.engine->refuses = [&] { return is_short; };
  const Job job = job_of(words(1, 10), 5);
  const auto first = s.submit(job), second = s.submit(job_of(words(2, 10), 5));
  for (int i = 0; i < 20 && !first->is_over; ++i) s.scheduler->step();
  CHECK(first->answer.failed == "out_of_memory");
  CHECK(!second->is_over);
  is_short = false;
  s.finish();
  CHECK(second->answer.failed.empty());
}

TEST_CASE("only the job whose logits are not finite fails") {
  Server s({.model = {.poisoned = 400}});
  std::vector<Job> jobs;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (std::uint64_t i = 0; i < 30; ++i) jobs.push_back(job_of(words(i, 10), 20));
  for (const Job& job : jobs) sinks.push_back(s.submit(job));
  // A step that failed is repeated at once: the others lose no time.
  for (std::size_t steps = 1; s.scheduler->step() && steps < 20; ++steps)
    for (const auto& sink : sinks) CHECK((sink->is_over || sink->pieces == steps));
  s.finish();
  int failed = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const Answer expected = answer_alone(s.model, jobs[i], 20);
    CHECK(sinks[i]->answer == expected);
    failed += expected.failed == "non_finite";
  }
  CHECK(failed > 0);
  CHECK(failed < 30);
}

TEST_CASE("what can never be served is refused with what was found and what was expected") {
  Server s({.options = {.max_sequences = 8}, .pages = 5});
  CHECK(s.refusal(job_of({}, 1)) == "bad_argument: the prompt has 0 tokens, expected at least 1");
  CHECK(s.refusal(job_of({1, 262}, 1)) == "bad_argument: token 1 of the prompt is 262, expected an id from 0 to 261");
  CHECK(s.refusal(job_of(words(1, 401), 1)) ==
        "bad_argument: the prompt has 401 tokens and the reply up to 1, expected at most 401 together (the model's "
        "context, and the last token)");
  CHECK(s.refusal(job_of(words(1, 300), 22)) ==
        "bad_argument: the prompt has 300 tokens and 1 replies up to 22 each, which takes 6 pages of 64 tokens, "
        "expected at most 5 (the key/value cache)");
  CHECK(s.refusal(job_of(words(1, 330), 0)).find("do not fit into 5 pages") != std::string::npos);
  Job job = job_of(words(1, 3), 5);
  job.options.replies = 9;
  CHECK(s.refusal(job) == "bad_argument: replies is 9, expected 1 to 8 (replies that run at one time)");
  job = job_of(words(1, 3), 5), job.min_tokens = 6;
  CHECK(s.refusal(job) == "bad_argument: min_tokens is 6, expected 0 to max_tokens");
  job = job_of(words(1, 3), 5), job.score_prompt = 1001;
  CHECK(s.refusal(job) == "bad_argument: score_prompt is 1001, expected 0 to 1000");
  job = job_of(words(1, 3), 5), job.options.sampling.temperature = -1;
  CHECK(s.refusal(job).find("temperature") != std::string::npos);
  // Exactly what fits: the last token is never run.
  const auto sink = s.submit(job_of(words(1, 300), 21));
  const auto unlimited = s.submit(job_of(words(1, 300), 0));
  s.finish();
  CHECK(sink->generations.at(0).tokens.size() == 21);
  CHECK(unlimited->generations.at(0).tokens.size() == 21);
  CHECK(!Scheduler::create(std::make_unique<FakeEngine>(s.model, 4), {.batch_tokens = 0}).has_value());
}

TEST_CASE("a full queue refuses, a drained one fails, what runs is finished") {
  Server s({.options = {.max_sequences = 1, .max_queue = 2}});
  const Job job = job_of(words(1, 10), 5);
  const auto runs = s.submit(job);
  s.scheduler->step();
  const auto first = s.submit(job), second = s.submit(job);
  CHECK(s.scheduler->counters().waiting == 2);
  CHECK(s.refusal(job) == "out_of_memory: 2 jobs are waiting, expected fewer than 2");
  s.scheduler->drain();
  CHECK(s.refusal(job) == "cancelled: the server is shutting down");
  s.finish();
  CHECK(runs->answer == answer_alone(s.model, job, 5));
  CHECK(first->answer.failed == "cancelled");
  CHECK(second->answer.failed == "cancelled");
}

TEST_CASE("a cancelled job leaves before the next step, at any time") {
  for (int steps = 0; steps < 8; ++steps) {
    Server s({.options = {.batch_tokens = 16}});
    const auto sink = s.submit(job_of(words(1, 60), 5));
    for (int i = 0; i < steps; ++i) s.scheduler->step();
    s.scheduler->cancel(s.last);
    s.scheduler->cancel(s.last + 7);
    const std::size_t pieces = sink->pieces;
    CHECK(!s.scheduler->step());
    CHECK(sink->pieces == pieces);
    CHECK(!sink->is_over);
    CHECK(s.scheduler->is_empty());
    CHECK(s.engine->open_sequences().size() == s.scheduler->index().leaf_count());
    CHECK(s.scheduler->counters().cancelled == 1);
  }
}

TEST_CASE("a reply has its least length, whatever would end it") {
  Server s;
  Job job = job_of(words(1, 30), 60);
  job.options.end_tokens = moe::EndTokens::stop;
  job.options.stop = {"a", "b", " "};
  CHECK(s.cost(job) > 0);
  for (const std::int64_t least : {1, 7, 60}) {
    job.min_tokens = least;
    const auto sink = s.submit(job);
    s.finish();
    CHECK(sink->generations.at(0).tokens.size() >= static_cast<std::size_t>(least));
    CHECK(sink->generations.at(0).tokens.size() < static_cast<std::size_t>(least) + 10);
  }
  // End tokens that are the likeliest ones: they are not drawn, and no log-probability changes.
  job.options.stop.clear();
  job.options.stop_tokens = {'a', 'b', ' '};
  job.options.log_probabilities = 1;
  job.min_tokens = 7;
  const auto sink = s.submit(job);
  s.finish();
  const Generation& g = sink->generations.at(0);
  REQUIRE(g.tokens.size() == 8);
  for (std::size_t i = 0; i < 7; ++i) {
    CHECK(g.tokens[i] != g.log_probabilities[i].best.at(0).token);
    CHECK(g.log_probabilities[i].chosen.log_probability < g.log_probabilities[i].best.at(0).log_probability);
  }
}

TEST_CASE("the thread serves many submitters, sleeps, drains and stops") {
  Server s({.options = {.max_queue = 1000}, .pages = 12});
  auto thread = moe::serve::SchedulerThread::start(*s.scheduler);
  REQUIRE(thread.has_value());
  constexpr std::size_t kEach = 60;
  std::vector<std::thread> clients;
  std::vector<Job> jobs(4 * kEach);
  std::vector<std::shared_ptr<RecordingSink>> sinks(4 * kEach);
  std::atomic<int> refused = 0;
  for (std::size_t c = 0; c < 4; ++c)
    clients.emplace_back([&, c] {
      for (std::size_t i = c * kEach; i < (c + 1) * kEach; ++i) {
        jobs[i] = job_of(words(i % 9, 5 + i % 70), 1 + static_cast<std::int64_t>(i % 40));
        sinks[i] = std::make_shared<RecordingSink>(jobs[i]);
        const auto id = s.scheduler->submit(jobs[i], sinks[i]);
        refused += !id;
        if (i % 5 == 0) s.scheduler->pause(*id), s.scheduler->resume(*id);
        static_cast<void>(s.scheduler->counters());
      }
    });
  for (std::thread& client : clients) client.join();
  CHECK(refused == 0);
  for (int i = 0; i < 2000; ++i) {
    const auto now = s.scheduler->counters();
    if (now.running + now.waiting + now.paused == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::atomic<bool> ended = false;
  (*thread)->drain(std::chrono::seconds(10), [&] { ended = true; });
  for (int i = 0; i < 2000 && !ended; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(ended);
  (*thread)->stop();
  for (std::size_t i = 0; i < jobs.size(); ++i)
    CHECK(sinks[i]->answer == answer_alone(s.model, jobs[i], jobs[i].options.max_tokens));
}

TEST_CASE("patience that ends fails what still runs") {
  Server s;
  s.engine->refuses = [] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return false;
  };
  auto thread = moe::serve::SchedulerThread::start(*s.scheduler);
  REQUIRE(thread.has_value());
  const auto slow = s.submit(job_of(words(1, 10), 300));
  for (int i = 0; i < 2000 && s.scheduler->counters().reply_tokens == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::atomic<bool> ended = false;
  (*thread)->drain(std::chrono::milliseconds(30), [&] { ended = true; });
  for (int i = 0; i < 400 && !ended; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(ended);
  thread->reset();
  CHECK(slow->answer.failed == "cancelled");
  CHECK(slow->pieces > 0);
}

TEST_CASE("who is told that a job has finished finds it counted") {
  struct Asking final : JobSink {
    void on_finished() override { found = scheduler->counters(); }
    Scheduler* scheduler = nullptr;
    moe::serve::Counters found;
  };
  Server s;
  const auto sink = std::make_shared<Asking>();
  sink->scheduler = s.scheduler.get();
  Job job{.prompt = {1, 2, 3}};
  job.options.max_tokens = 5;
  job.options.end_tokens = moe::EndTokens::ignore;
  REQUIRE(s.scheduler->submit(job, sink).has_value());
  s.finish();
  CHECK(sink->found.running == 0);
  CHECK(sink->found.prompt_tokens == 3);
  CHECK(sink->found.reply_tokens == 5);
  CHECK(sink->found.steps == 5);
  CHECK(sink->found.longest_sequence == 7);
  CHECK(sink->found.step_prompt_tokens == 3);
  CHECK(sink->found.step_tokens == 7);
}

TEST_CASE("what was submitted is counted at every moment") {
  struct CountingSink final : JobSink {
    Scheduler* scheduler = nullptr;
    std::int64_t at_admission = 0;
    void on_admitted() override { at_admission = scheduler->counters().waiting; }
  };
  Server s;
  const auto sink = std::make_shared<CountingSink>();
  sink->scheduler = s.scheduler.get();
  REQUIRE(s.scheduler->submit(job_of(words(1, 10), 3), sink).has_value());
  CHECK(s.scheduler->counters().waiting == 1);
  s.scheduler->step();
  CHECK(sink->at_admission == 1);
  CHECK(s.scheduler->counters().waiting == 0);
  CHECK(s.scheduler->counters().running == 1);
  s.finish();
}

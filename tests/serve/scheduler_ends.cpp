// How jobs end in the scheduler: refused, failed, cancelled, drained, counted; and its thread.

#include <thread>

#include "scheduler_support.hpp"
#include "serve/scheduler_thread.hpp"

using namespace moe_test;

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
  // A failed step is repeated at once, without delay for the others.
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
  CHECK(s.refusal(job) == "unsupported: replies is 9, expected 1 to 8 (replies that run at one time)");
  job = job_of(words(1, 3), 5), job.min_tokens = 6;
  CHECK(s.refusal(job) == "bad_argument: min_tokens is 6, expected 0 to max_tokens");
  job = job_of(words(1, 3), 5), job.score_prompt = 1001;
  CHECK(s.refusal(job) == "bad_argument: score_prompt is 1001, expected 0 to 1000");
  job = job_of(words(1, 3), 5), job.options.sampling.temperature = -1;
  CHECK(s.refusal(job).find("temperature") != std::string::npos);
  // Exactly what fits: the last token is never run.
  CHECK(s.scheduler->check(job_of(words(1, 300), 21)).has_value());
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

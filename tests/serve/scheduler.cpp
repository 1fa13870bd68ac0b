// The scheduler's order: which job runs when, what is not computed twice, which job is preempted.

#include "scheduler_support.hpp"

using namespace moe_test;

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

TEST_CASE("an owner's reply has a token in every step, however many of another's take turns") {
  Server s({.options = {.logit_memory = 4 * 4 * 262}, .pages = 256});
  std::vector<std::shared_ptr<RecordingSink>> many;
  for (std::uint64_t i = 0; i < 11; ++i) many.push_back(s.submit(owned("many", words(i, 5), 90)));
  const auto one = s.submit(owned("one", words(90, 5), 60));
  const auto has_begun = [](const auto& sink) { return sink->pieces > 0; };
  while (!has_begun(one) || !std::all_of(many.begin(), many.end(), has_begun)) s.scheduler->step();
  for (int i = 0; i < 4; ++i) s.scheduler->step();  // the longest waiting one has had its turn
  std::vector<std::size_t> before;
  for (const auto& sink : many) before.push_back(sink->pieces);
  for (std::size_t i = one->pieces + 1, last = i + 33; i < last; ++i) {
    s.scheduler->step();
    CHECK(one->pieces == i);
    CHECK(s.engine->last_batch.size() == 4);
  }
  // The three other places go round.
  for (std::size_t i = 0; i < many.size(); ++i) CHECK(many[i]->pieces - before[i] == 9);
  s.finish();
}

TEST_CASE("of several owners' replies a step has so many as its time allows, and one of each at least") {
  Server s({.pages = 256});
  for (std::uint64_t i = 0; i < 20; ++i) s.submit(owned(i < 18 ? "a" : i == 18 ? "b" : "c", words(i, 5), 50));
  s.scheduler->step();
  const std::vector<moe::serve::JobRecord*> all = s.scheduler->roster().running();
  std::vector<moe::serve::JobRecord*> alone;
  std::copy_if(all.begin(), all.end(), std::back_inserter(alone), [](const auto* j) { return j->job.owner == "a"; });
  moe::serve::Composer composer;
  const auto owners = [&](moe::serve::StepBudget budget, const auto& jobs) {
    std::string names;
    budget.rows = 64;
    for (const auto& item : composer.compose(jobs, budget)) names += item.job->job.owner;
    return names;
  };
  CHECK(owners({}, all) == "abc" + std::string(17, 'a'));
  CHECK(owners({.seconds = 0.1}, all).size() == 20);  // nothing was measured
  CHECK(owners({.seconds = 0.1, .reply_seconds = 0.02}, all) == "abcaa");
  CHECK(owners({.seconds = 0.1, .reply_seconds = 0.2}, all) == "abc");
  CHECK(owners({.seconds = 0.1, .reply_seconds = 0.02}, alone).size() == 18);  // nobody would gain
  CHECK(owners({.replies = 2}, all).size() == 2);
  s.finish();
}

TEST_CASE("prompts get what replies leave of a step's time, and a half of it at least") {
  Server s({.options = {.batch_tokens = 16}});
  s.submit(job_of(words(1, 5), 50));
  s.scheduler->step();
  s.submit(job_of(words(2, 350), 1));
  s.scheduler->step();
  const auto prompt_tokens = [&](double reply_seconds) {
    const moe::serve::StepBudget budget{
        .rows = 64, .seconds = 0.1, .reply_seconds = reply_seconds, .token_seconds = 0.001};
    return moe::serve::Composer().compose(s.scheduler->roster().running(), budget).at(1).count;
  };
  CHECK(prompt_tokens(0.02) == 80);
  CHECK(prompt_tokens(0.09) == 50);
  s.finish();
}

TEST_CASE("a step has two recurrent states of each sequence, and no more sequences than that") {
  FakeModel model;
  model.states = 8;
  Server s({.pages = 256, .model = model});
  std::vector<Job> jobs;
  std::vector<std::shared_ptr<RecordingSink>> sinks;
  for (std::uint64_t i = 0; i < 20; ++i) {
    jobs.push_back(job_of(words(i, 5), 10));
    sinks.push_back(s.submit(jobs.back()));
  }
  std::size_t most = 0;
  while (s.scheduler->step()) most = std::max(most, s.engine->last_batch.size());
  CHECK(most == 4);
  for (std::size_t i = 0; i < jobs.size(); ++i)
    CHECK(sinks[i]->answer == answer_alone(s.model, jobs[i], jobs[i].options.max_tokens));
  s.finish();
}

TEST_CASE("with LongRoPE no slice has logits on both sides of the original context") {
  Server s({.options = {.batch_tokens = 16}, .pages = 256});
  Job echoed = job_of(words(2, 100), 1);
  echoed.score_prompt = 0;
  s.submit(echoed);
  s.scheduler->step();
  for (const std::int64_t tokens : {1, 7, 30, 200}) {
    const auto items = moe::serve::Composer().compose(s.scheduler->roster().running(),
                                                      {.tokens = tokens, .rows = 500, .long_rope = 40});
    REQUIRE(items.size() == 1);
    CHECK(items[0].begin == 16);
    CHECK(items[0].logits == moe::Logits::all);
    CHECK(items[0].begin + items[0].count <= 40);
    if (tokens == 200) CHECK(items[0].begin + items[0].count == 40);
  }
  s.finish();
}

TEST_CASE("of prompts that are nearly there a step has so many as fit as well, and one at least") {
  Server s({.options = {.logit_memory = 2 * 4 * 262}, .pages = 256});  // two positions with logits
  s.submit(job_of(words(1, 5), 50));
  s.scheduler->step();
  for (std::uint64_t i = 0; i < 10; ++i) s.submit(job_of(words(100 + i, 3), 20));
  s.scheduler->step();
  const auto prompts = [&](double token_seconds) {
    const moe::serve::StepBudget budget{
        .rows = 64, .seconds = 0.1, .reply_seconds = 0.01, .token_seconds = token_seconds};
    const auto items = moe::serve::Composer().compose(s.scheduler->roster().running(), budget);
    return std::count_if(items.begin(), items.end(), [](const auto& item) { return item.is_stretch(); });
  };
  CHECK(prompts(0.001) >= 8);
  CHECK(prompts(0.02) == 4);
  CHECK(prompts(0.2) == 1);
  s.finish();
}

TEST_CASE("an owner below its share begins beside another's replies, and no step has more of them than before") {
  Server s({.options = {.max_sequences = 6}, .pages = 256});
  std::vector<std::shared_ptr<RecordingSink>> many, few;
  for (std::uint64_t i = 0; i < 9; ++i) many.push_back(s.submit(owned("many", words(i, 5), 80)));
  s.scheduler->step();
  for (std::uint64_t i = 0; i < 5; ++i) few.push_back(s.submit(owned("few", words(50 + i, 5), 80)));
  const auto begun = [](const auto& sinks) {
    return std::count_if(sinks.begin(), sinks.end(), [](const auto& sink) { return sink->pieces > 0; });
  };
  for (int i = 0; i < 40; ++i) {
    s.scheduler->step();
    CHECK(s.engine->last_batch.size() <= 9);
  }
  CHECK(begun(many) == 6);
  CHECK(begun(few) == 3);
  // Three of six places for each.
  CHECK(std::count_if(few.begin(), few.end(), [](const auto& sink) { return sink->pieces >= 38; }) == 3);
  s.finish();
  CHECK(begun(many) == 9);
  CHECK(begun(few) == 5);
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

TEST_CASE("a prompt goes on as soon as another has computed what both begin with") {
  Server s({.options = {.batch_tokens = 32}});
  const std::vector<TokenId> beginning = words(1, 64);
  const Job of_a = owned("a", beginning + words(2, 300), 3), of_b = owned("b", beginning + words(3, 10), 3);
  const std::int64_t same =
      std::mismatch(of_b.prompt.begin(), of_b.prompt.end(), of_a.prompt.begin()).first - of_b.prompt.begin();
  const auto longer = s.submit(of_a);
  s.scheduler->step();
  const auto shorter = s.submit(of_b);
  while (!shorter->is_over) REQUIRE(s.scheduler->step());
  CHECK(longer->pieces == 0);
  s.finish();
  CHECK(longer->answer == answer_alone(s.model, of_a, 3));
  CHECK(shorter->answer == answer_alone(s.model, of_b, 3));
  CHECK(same >= 64);
  CHECK(shorter->generations.at(0).reused_tokens == same);
  CHECK(s.engine->tokens_run == 64 + 300 + (64 + 10 - same) + 2 * 2);  // the last token of a reply is not run
}

TEST_CASE("scores of a common beginning are taken over when they are known") {
  Server s({.options = {.batch_tokens = 32}});
  const std::vector<TokenId> beginning = words(1, 64);
  const Job of_a = score_of(beginning + words(2, 300)), of_b = score_of(beginning + words(3, 10));
  const auto longer = s.submit(of_a);
  s.scheduler->step();
  const auto shorter = s.submit(of_b);
  s.finish();
  CHECK(longer->answer == answer_alone(s.model, of_a, 1));
  CHECK(shorter->answer == answer_alone(s.model, of_b, 1));
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

TEST_CASE("a waiting job of many replies that shares more does not hold up one that has a place") {
  Server s({.options = {.max_sequences = 4}});
  const std::vector<TokenId> beginning = words(1, 64);
  s.submit(job_of(beginning + words(2, 4), 2));
  s.finish();
  const auto runs = s.submit(job_of(words(3, 40), 60));
  s.scheduler->step();
  const auto head = s.submit(job_of(words(4, 40), 3));
  Job four = job_of(beginning + words(5, 4), 3);
  four.options.replies = 4;
  const auto wide = s.submit(four);
  while (!head->is_over && !runs->is_over) REQUIRE(s.scheduler->step());
  CHECK(head->is_over);
  CHECK(!runs->is_over);
  CHECK(!wide->is_admitted);
  s.finish();
  CHECK(wide->answer == answer_alone(s.model, four, 3));
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

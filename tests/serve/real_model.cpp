// Real models with the scheduler: answers equal those of Generator and Scorer, to the bit, with any cache,
// the batches and the index.

#include <random>

#include "golden/generator_support.hpp"
#include "moe/score.hpp"
#include "score/pair_encoder.hpp"
#include "serve/session_engine.hpp"
#include "serve_support.hpp"

using namespace moe_test;

namespace {

std::unique_ptr<Scheduler> serve(const std::shared_ptr<const moe::Model>& model, const SchedulerOptions& options,
                                 std::int64_t cache_tokens, int threads = 1) {
  auto session = moe::Session::create(model, {.max_tokens = cache_tokens, .threads = moe::openmp_pool(threads)});
  REQUIRE_MESSAGE(session.has_value(), session.error().message);
  auto scheduler = Scheduler::create(std::make_unique<moe::serve::SessionEngine>(std::move(*session)), options);
  REQUIRE_MESSAGE(scheduler.has_value(), scheduler.error().message);
  return std::move(*scheduler);
}

/// Prompts that share beginnings, all kinds of options.
std::vector<Job> mixed_jobs(const moe::Model& model, std::size_t count) {
  std::mt19937 random(11);
  const std::int64_t vocabulary = model.tokenizer() ? model.tokenizer()->vocab_size() : model.config().vocab_size;
  const auto ids = [&](std::size_t n) {
    Ids out(n);
    for (TokenId& id : out) id = static_cast<TokenId>(random() % static_cast<std::uint32_t>(vocabulary));
    return out;
  };
  const Ids trunk = ids(150);
  std::vector<Job> jobs(count);
  for (Job& j : jobs) {
    j.prompt = moe_test::branch_of(random, trunk, ids(1 + random() % 9));
    j.options = moe_test::random_options(random, 90);
    if (model.tokenizer() && random() % 3 == 0) j.options.stop = {"e", "t"};
    if (random() % 4 == 0) j.score_prompt = static_cast<std::int64_t>(random() % 3);
    j.owner = random() % 2 == 0 ? "a" : "b";
  }
  // Some that grow far beyond what admission leaves for them.
  for (std::size_t i = 0; i < 4; ++i) {
    jobs[i] = {.prompt = ids(5), .owner = "a"};
    jobs[i].options.max_tokens = 130;
    jobs[i].options.end_tokens = moe::EndTokens::ignore;
  }
  return jobs;
}

/// Scores by the definition, from all logits of the prompt at once.
std::string scores_alone(const std::shared_ptr<const moe::Model>& model, const Job& job) {
  if (!job.score_prompt) return {};
  auto session = *moe::Session::create(model);
  const auto sequence = session->open();
  const auto output = session->step(*sequence, job.prompt, moe::Logits::all);
  REQUIRE(output.has_value());
  std::vector<moe::PositionLogProbabilities> scores;
  for (std::size_t i = 1; i < job.prompt.size(); ++i)
    scores.push_back(score_of(output->padded_row(static_cast<std::int64_t>(i) - 1),
                              static_cast<std::size_t>(output->token_count), job.prompt[i], *job.score_prompt));
  return bits(scores);
}

Answer expected_of(const std::shared_ptr<const moe::Model>& model, const Job& job) {
  Generator alone = create(model, {.max_tokens = 256});
  Answer answer;
  const std::vector<GenerateRequest> requests{GenerateRequest{job.prompt, job.options}};
  const auto replies = generate(alone, requests);
  for (const Generation& g : replies.at(0)) answer.replies.push_back(reply_bits(g));
  answer.scores = scores_alone(model, job);
  return answer;
}

}  // namespace

TEST_CASE("answers are the Generator's, whatever the cache, the batches and the index") {
  std::int64_t preemptions = 0;
  for (const auto& model : {nano(), padded(), without_tokenizer(), hybrid()}) {
    const std::vector<Job> jobs = mixed_jobs(*model, 10);
    std::vector<Answer> expected;
    for (const Job& job : jobs) expected.push_back(expected_of(model, job));
    std::int64_t reused = 0;
    for (const std::int64_t batch_tokens : {16, 64, 512})
      for (const std::int64_t cache_pages : {8, 120})
        for (const bool index : {false, true}) {
          CAPTURE(batch_tokens);
          CAPTURE(cache_pages);
          CAPTURE(index);
          SchedulerOptions options{.batch_tokens = batch_tokens, .logit_memory = 24 * 4 * model->config().vocab_size};
          if (!index) options.prefix_cache_tokens = 0;
          const auto scheduler = serve(model, options, cache_pages * moe::kPageTokens, index ? 2 : 1);
          std::vector<std::shared_ptr<RecordingSink>> sinks;
          for (const Job& job : jobs) {
            sinks.push_back(std::make_shared<RecordingSink>(job));
            REQUIRE(scheduler->submit(job, sinks.back()).has_value());
            if (sinks.size() % 3 == 0) scheduler->step();
          }
          while (scheduler->step()) {
          }
          for (std::size_t i = 0; i < jobs.size(); ++i) {
            CHECK(sinks[i]->broken.empty());
            CHECK(sinks[i]->answer == expected[i]);
          }
          preemptions += scheduler->counters().preemptions;
          reused += scheduler->counters().reused_tokens;
        }
    CHECK(reused > 0);
  }
  CHECK(preemptions > 0);
}

TEST_CASE("log-likelihoods are the Scorer's, and a known context is not computed again") {
  const auto& model = nano();
  auto scorer = moe::Scorer::create(model);
  REQUIRE(scorer.has_value());
  const std::vector<std::string> contexts{"Question: What does the red box hold?\nAnswer:",
                                          "The red box holds a coin. The blue box holds a key. The green box holds a "
                                          "stone.\nQuestion: What does the red box hold?\nAnswer:"};
  const std::vector<std::string> endings{" a coin", " the blue key", " nothing at all", " five"};
  const auto scheduler = serve(model, {}, 4096);
  const moe::score::PairEncoder encoder(*model->tokenizer());
  for (const std::string& context : contexts) {
    const auto scores = scorer->score(context, endings);
    REQUIRE_MESSAGE(scores.has_value(), scores.error().message);
    std::vector<Ids> prompts;
    std::vector<std::size_t> tails;
    std::vector<std::shared_ptr<RecordingSink>> sinks;
    for (const std::string& ending : endings) {
      const auto pair = encoder.encode(context, ending);
      REQUIRE(pair.has_value());
      Job job;
      job.prompt = pair->context;
      job.prompt.insert(job.prompt.end(), pair->continuation.begin(), pair->continuation.end());
      job.score_prompt = 1;  // as lm-eval asks: echo, logprobs, one token
      job.options.max_tokens = 1;
      tails.push_back(pair->continuation.size());
      sinks.push_back(std::make_shared<RecordingSink>(job));
      REQUIRE(scheduler->submit(job, sinks.back()).has_value());
    }
    while (scheduler->step()) {
    }
    for (std::size_t i = 0; i < endings.size(); ++i) {
      double sum = 0;
      bool greedy = true;
      const auto& listed = sinks[i]->scores;
      for (std::size_t k = listed.size() - tails[i]; k < listed.size(); ++k) {
        sum += listed[k].chosen.log_probability;
        greedy = greedy && listed[k].best.at(0).token == listed[k].chosen.token;
      }
      CHECK(sum == (*scores)[i].log_likelihood);
      CHECK(greedy == (*scores)[i].is_greedy);
    }
  }
  CHECK(scheduler->counters().reused_tokens > 0);
}

TEST_CASE("FLOPs: those of the replies and those saved add up to what everything alone would cost") {
  const auto& model = nano();
  const auto scheduler = serve(model, {}, 4096);
  Job job;
  for (TokenId id = 20; id < 120; ++id) job.prompt.push_back(id);
  job.options.max_tokens = 5;
  job.options.replies = 2;
  job.options.end_tokens = moe::EndTokens::ignore;
  std::int64_t first = 0;
  for (int round = 0; round < 2; ++round) {
    const auto sink = std::make_shared<RecordingSink>(job);
    REQUIRE(scheduler->submit(job, sink).has_value());
    while (scheduler->step()) {
    }
    std::int64_t flops = 0;
    for (const Generation& g : sink->generations) flops += g.flops;
    const auto now = scheduler->counters();
    if (round == 0) {
      first = flops;
      CHECK(now.flops == flops);
      CHECK(now.flops_saved == 0);
    } else {
      CHECK(sink->generations.at(0).reused_tokens == 99);
      CHECK(now.flops == first + flops);
      CHECK(flops + now.flops_saved == first);
    }
  }
}

TEST_CASE("FLOPs of a hybrid's replies are those executed, with what was computed again from a checkpoint") {
  const auto& model = hybrid();
  const auto scheduler = serve(model, {}, 4096);
  std::int64_t told = 0, tokens = 0;
  for (TokenId round = 0; round < 4; ++round) {
    Job job;
    for (TokenId id = 20; id < 110; ++id) job.prompt.push_back(id);
    for (TokenId id = 0; id < 7 * round; ++id) job.prompt.pop_back();
    job.prompt.push_back(5 + round);
    job.options.max_tokens = 3;
    job.options.replies = 2;
    job.options.end_tokens = moe::EndTokens::ignore;
    const auto sink = std::make_shared<RecordingSink>(job);
    REQUIRE(scheduler->submit(job, sink).has_value());
    while (scheduler->step()) {
    }
    for (const Generation& g : sink->generations) told += g.flops;
    tokens += sink->generations.at(0).reused_tokens;
    CHECK(scheduler->counters().flops == told);
  }
  CHECK(tokens > 0);
}

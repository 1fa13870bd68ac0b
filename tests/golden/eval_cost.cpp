// What a run is said to cost before it begins is what it executes, to the token and the FLOP.

#include "golden/exam.hpp"
#include "moe/eval/cost_model.hpp"

namespace eval_cost_test {

using namespace moe::eval;

namespace {

const std::filesystem::path models = std::filesystem::path(MOE_SOURCE_DIR) / "models/nano";

PreparedTask exam(double limit) {
  auto spec = load_task((models / "nano_exam.jsonl").string());
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, {.limit = limit});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

RunCost cost_of(const PreparedTask& task, const moe::Model& model, const std::shared_ptr<const moe::Tokenizer>& t) {
  CostModel counting(model.config(), t);
  const auto outcome = evaluate(task, counting, {.bootstrap_count = 0, .threads = {}, .hooks = {}});
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  return counting.cost();
}

}  // namespace

TEST_CASE("tokens and FLOPs of a plan are those that a session executes") {
  for (const char* name : {"nano-moe", "nano-dense-flops"}) {
    CAPTURE(name);
    const auto model = moe::Model::load((models / name).string());
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    for (const double limit : {3.0, 40.0, 0.0}) {
      const PreparedTask task = exam(limit);
      const RunCost cost = cost_of(task, **model, (*model)->tokenizer());
      const auto scorer = SessionModel::create(*model);
      REQUIRE(scorer.has_value());
      REQUIRE(evaluate(task, **scorer, {.bootstrap_count = 0, .threads = {}, .hooks = {}}).has_value());
      CHECK(cost.flops == (*scorer)->executed().total());
      CHECK(cost.computed_tokens == (*scorer)->executed().tokens);
      CHECK(cost.tokens > cost.computed_tokens);
      CHECK(cost.reply_tokens == 0);
    }
  }
}

TEST_CASE("the least cache of a plan is enough for a model whose cache is limited, and a byte less is an error") {
  const auto model = moe::Model::load((models / "nano-moe").string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  const PreparedTask task = exam(40);
  const std::int64_t least = cost_of(task, **model, (*model)->tokenizer()).least_cache_tokens;
  REQUIRE(least > 0);
  moe::SessionOptions session;
  session.max_tokens = least;
  const auto answered = [&](std::int64_t spare_bytes, bool is_limited) {
    SessionModelOptions options;
    options.cache_bytes = moe::Session::estimate_memory(**model, session).cache_bytes + spare_bytes;
    options.cache_is_limited = is_limited;
    const auto scorer = SessionModel::create(*model, options);
    REQUIRE(scorer.has_value());
    return evaluate(task, **scorer, {.bootstrap_count = 0, .threads = {}, .hooks = {}});
  };
  const auto enough = answered(0, true), exceeded = answered(-1, false), refused = answered(-1, true);
  REQUIRE_MESSAGE(enough.has_value(), enough.error().message);
  REQUIRE(exceeded.has_value());
  CHECK(enough->overall.metrics[0].value == exceeded->overall.metrics[0].value);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == moe::ErrorCode::out_of_memory);
  CAPTURE(refused.error().message);
  CHECK(refused.error().message.find("must hold " + std::to_string(least) + ", and it may hold " +
                                     std::to_string(least - moe::kPageTokens)) != std::string::npos);
}

TEST_CASE("without a tokenizer, four bytes are a token, and equal beginnings are found") {
  const auto tokens = estimating_tokenizer(1000);
  const auto a = tokens->encode("The same beginning of two texts, one"),
             b = tokens->encode("The same beginning of two texts, two");
  REQUIRE(a.has_value());
  REQUIRE(b.has_value());
  CHECK(a->size() == 9);
  CHECK(std::equal(a->begin(), a->end() - 1, b->begin()));
  CHECK(a->back() != b->back());
  for (const moe::TokenId id : *a) CHECK((id >= 0 && id < 1000));
  CHECK(tokens->encode("")->empty());
  CHECK(tokens->encode("12345")->size() == 2);
  const auto model = moe::Model::load((models / "nano-moe").string());
  REQUIRE(model.has_value());
  const RunCost cost = cost_of(exam(40), **model, estimating_tokenizer((*model)->config().vocab_size));
  CHECK(cost.computed_tokens > 0);
  CHECK(cost.tokens > cost.computed_tokens);
}

}  // namespace eval_cost_test

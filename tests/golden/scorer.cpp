// Scorer: the evaluator's numbers to the last bit, exact FLOPs, errors of their own.

#include <cmath>
#include <cstring>

#include "golden/golden.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/score.hpp"
#include "program.hpp"
#include "spoiled_model.hpp"

namespace scorer_test {

namespace {

namespace fs = std::filesystem;

std::shared_ptr<const moe::Model> load(const fs::path& path) {
  auto model = moe::Model::load((fs::path(MOE_SOURCE_DIR) / path).string(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}
moe::Scorer create(const std::shared_ptr<const moe::Model>& model, const moe::SessionOptions& options = {}) {
  auto scorer = moe::Scorer::create(model, options);
  REQUIRE_MESSAGE(scorer.has_value(), scorer.error().message);
  return std::move(*scorer);
}

bool same_bits(double a, double b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// Contexts that begin alike, one that ends with white space, one that is empty where the tokenizer allows it.
std::vector<moe::ScoreRequest> requests() {
  const std::string shared = "A list of colours, one of them chosen by a committee of nine, and it was ";
  return {{shared, {"red", "green", " blue and yellow", "red"}},
          {shared + "not ", {"red", "a very long shade of grey that nobody had heard of"}},
          {"Something else:", {" yes", " no", " perhaps"}},
          {shared, {"blue"}}};
}

std::int64_t flops_of(const std::vector<std::vector<moe::Score>>& all) {
  std::int64_t flops = 0;
  for (const auto& scores : all)
    for (const moe::Score& s : scores) flops += s.flops;
  return flops;
}

}  // namespace

TEST_CASE("scores are the evaluator's, in any batch and cache, on two threads; FLOPs add up to what was executed") {
  for (const char* path : {"models/nano/nano-moe", "tests/data/golden/qwen3_moe"}) {
    const auto model = load(path);
    const auto asked = requests();
    std::vector<moe::eval::ScoreRequest> flat;
    for (const auto& r : asked)
      for (const auto& c : r.continuations) flat.push_back({r.context, c, "q"});
    auto evaluator = moe::eval::SessionModel::create(model);
    REQUIRE(evaluator.has_value());
    const auto expected = (*evaluator)->score(flat, {});
    REQUIRE_MESSAGE(expected.has_value(), expected.error().message);
    for (const std::int64_t cache : {128, 192, 1024})
      for (const std::int64_t chunk : {5, 512})
        for (const std::int32_t threads : {1, 2}) {
          CAPTURE(cache);
          CAPTURE(chunk);
          CAPTURE(threads);
          moe::SessionOptions options;
          options.max_tokens = cache, options.chunk_tokens = chunk;
          if (threads > 1) options.threads = moe::openmp_pool(threads);
          moe::Scorer scorer = create(model, options);
          const auto got = scorer.score(asked);
          REQUIRE_MESSAGE(got.has_value(), got.error().message);
          std::size_t i = 0;
          for (const auto& scores : *got)
            for (const moe::Score& s : scores) {
              CHECK_FALSE(s.error.has_value());
              CHECK(same_bits(s.log_likelihood, (*expected)[i].log_likelihood));
              CHECK(s.is_greedy == (*expected)[i].is_greedy);
              CHECK(s.tokens == (*expected)[i].continuation_tokens);
              ++i;
            }
          CHECK(i == flat.size());
          CHECK(flops_of(*got) == scorer.session().executed().total());
          // Its context is the first one's. (In two pages passes may be computed one by one.)
          if (cache > 128) CHECK((*got)[3][0].flops < (*got)[0][0].flops);
          CHECK(scorer.session().free_tokens() == cache);
        }
  }
}

TEST_CASE("whole texts go through windows of the context; the perplexity is per token") {
  const auto model = load("tests/data/golden/qwen3_moe");
  std::string long_text;
  while (long_text.size() < 1500) long_text += "Numbers and words, " + std::to_string(long_text.size()) + " of them. ";
  const std::vector<std::string> texts = {long_text, "short", long_text.substr(0, 300)};
  auto evaluator = moe::eval::SessionModel::create(model);
  REQUIRE(evaluator.has_value());
  std::vector<moe::eval::TextRequest> flat;
  for (const std::string& t : texts) flat.push_back({t, "q"});
  const auto expected = (*evaluator)->score_texts(flat, {});
  REQUIRE_MESSAGE(expected.has_value(), expected.error().message);
  moe::Scorer scorer = create(model);
  const auto got = scorer.score_texts(texts);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  std::int64_t flops = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const moe::Score& s = (*got)[i];
    CHECK_FALSE(s.error.has_value());
    CHECK(s.tokens == (*expected)[i].continuation_tokens);
    CHECK(same_bits(s.log_likelihood, (*expected)[i].log_likelihood));
    CHECK(s.perplexity() == doctest::Approx(std::exp(-s.log_likelihood / static_cast<double>(s.tokens))));
    flops += s.flops;
  }
  CHECK((*got)[0].tokens > 256);
  CHECK(flops == scorer.session().executed().total());
  CHECK(same_bits(scorer.score_text("short")->log_likelihood, (*got)[1].log_likelihood));
}

TEST_CASE("the best label, its probability and its price") {
  moe::Scorer scorer = create(load("models/nano/nano-moe"));
  const std::vector<std::string> labels = {" alpha", " b", " gamma delta epsilon", " b"};
  const auto scores = scorer.score("The letter is", labels);
  REQUIRE_MESSAGE(scores.has_value(), scores.error().message);
  const auto before = scorer.session().executed().total();
  const auto choice = scorer.choose("The letter is", labels);
  REQUIRE_MESSAGE(choice.has_value(), choice.error().message);
  CHECK(choice->flops == scorer.session().executed().total() - before);
  double sum = 0, best = -INFINITY;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    sum += choice->probabilities[i];
    best = std::max(best, (*scores)[i].log_likelihood);
    CHECK(same_bits(choice->scores[i].log_likelihood, (*scores)[i].log_likelihood));
    CHECK(std::log(choice->probabilities[i] / choice->probabilities[0]) ==
          doctest::Approx((*scores)[i].log_likelihood - (*scores)[0].log_likelihood));
  }
  CHECK(sum == doctest::Approx(1.0));
  CHECK(choice->best != 3);  // the first of equal ones
  CHECK((*scores)[choice->best].log_likelihood == best);

  const auto mean = scorer.choose("The letter is", labels, moe::CompareBy::per_token);
  REQUIRE(mean.has_value());
  const auto per_token = [&](std::size_t i) {
    return (*scores)[i].log_likelihood / static_cast<double>((*scores)[i].tokens);
  };
  for (std::size_t i = 0; i < labels.size(); ++i) CHECK(per_token(mean->best) >= per_token(i));
  CHECK(std::log(mean->probabilities[2] / mean->probabilities[0]) == doctest::Approx(per_token(2) - per_token(0)));
}

TEST_CASE("what has no score says why and leaves the others alone") {
  const auto model = load("tests/data/golden/qwen3_moe");
  const auto words_of = [&](std::size_t tokens) {
    std::string words;
    while (model->tokenizer()->encode(words)->size() < tokens) words += " word";
    return words;
  };
  const std::string words = words_of(160);
  moe::Scorer scorer = create(model, {.max_tokens = 128});
  const auto alone = scorer.score("Numbers", std::vector<std::string>{" one"});
  REQUIRE(alone.has_value());
  const std::vector<moe::ScoreRequest> asked = {
      {"Numbers", {" one", words, " two"}}, {"Numbers", {""}}, {"Numbers", {" one"}}, {"Numbers", {}}};
  const auto got = scorer.score(asked);
  REQUIRE_MESSAGE(got.has_value(), got.error().message);
  CHECK(same_bits((*got)[0][0].log_likelihood, (*alone)[0].log_likelihood));
  CHECK(same_bits((*got)[2][0].log_likelihood, (*alone)[0].log_likelihood));
  CHECK_FALSE((*got)[0][2].error.has_value());
  REQUIRE((*got)[0][1].error.has_value());
  CHECK((*got)[0][1].error->message.find("expected at most 129 (room in the key/value cache") != std::string::npos);
  CHECK(std::isnan((*got)[0][1].log_likelihood));
  REQUIRE((*got)[1][0].error.has_value());
  CHECK((*got)[1][0].error->message.find("gives no token") != std::string::npos);
  CHECK((*got)[3].empty());

  const auto choices = scorer.choose(asked);
  REQUIRE(choices.has_value());
  CHECK((*choices)[0].error.has_value());
  CHECK((*choices)[0].probabilities.empty());
  CHECK_FALSE((*choices)[2].error.has_value());
  CHECK((*choices)[3].error->message == "there are 0 labels, expected at least 1");
  CHECK(scorer.score("Numbers", std::vector<std::string>{words}).error().code == moe::ErrorCode::bad_argument);
  CHECK(create(model)
            .score("Numbers", std::vector<std::string>{words_of(270)})
            .error()
            .message.find("expected at most 257 (the model's context") != std::string::npos);
  CHECK(moe::Scorer::create(load("tests/data/variants/gpt_oss")).error().code == moe::ErrorCode::unsupported);

  const moe_test::ScratchDir scratch("moe_scorer");
  const auto tilde = (*model->tokenizer()->encode("~"))[0];
  const auto folder = fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe";
  moe::Scorer spoiled = create(load(moe_test::spoiled_model(folder, scratch.dir, tilde)));
  const auto some = spoiled.score(std::vector<moe::ScoreRequest>{{"a ~ b", {" c"}}, {"a b", {" c", "~", "~ c"}}});
  REQUIRE_MESSAGE(some.has_value(), some.error().message);
  CHECK((*some)[0][0].error->code == moe::ErrorCode::non_finite);
  CHECK_FALSE((*some)[1][0].error.has_value());
  CHECK_FALSE((*some)[1][1].error.has_value());  // a last token is never run
  CHECK((*some)[1][2].error->code == moe::ErrorCode::non_finite);
  CHECK(flops_of(*some) == spoiled.session().executed().total());
}

TEST_CASE("over a caller's Session, its sequences stay") {
  const auto session = moe_test::open_session(load("tests/data/golden/qwen3_moe"), {.max_tokens = 256});
  const moe::Sequence own = *session->open();
  moe_test::step(*session, own, std::vector<moe::TokenId>(70, 3));
  auto scorer = moe::Scorer::create(*session);
  REQUIRE(scorer.has_value());
  CHECK(scorer->score("Numbers", std::vector<std::string>{" one", " two"}).has_value());
  CHECK(*session->length(own) == 70);
  CHECK(session->free_tokens() == 128);
}

}  // namespace scorer_test

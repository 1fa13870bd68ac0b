// The C interface gives the C++ interface's results, bit for bit: logits, log-probabilities, replies, scores, ids,
// FLOPs.

#include <moe.h>

#include <cstring>

#include "moe/moe.hpp"
#include "support.hpp"
#include "support/log_softmax.hpp"

namespace {

using moe::TokenId;

const std::string kModel = MOE_SOURCE_DIR "/tests/data/golden/qwen3_moe";

#define OK(call) REQUIRE_MESSAGE((call) == MOE_OK, error.message)

struct Both {
  moe_error error{};
  moe_model* c_model = nullptr;
  moe_session* c = nullptr;
  std::shared_ptr<const moe::Model> model = moe::Model::load(kModel).value();
  std::unique_ptr<moe::Session> session = moe::Session::create(model).value();
  std::vector<TokenId> ids = model->tokenizer()->encode("Hello there", {.ends = moe::TextEnds::as_model}).value();

  Both() {
    moe_error_init(&error, sizeof error);
    OK(moe_model_load(kModel.c_str(), MOE_TEXT, nullptr, &c_model, &error));
    OK(moe_session_create(c_model, nullptr, &c, &error));
  }
  ~Both() {
    moe_session_free(c);
    moe_model_release(c_model);
  }
};

template <class T>
bool same_bits(const T* a, const T* b, std::size_t count) {
  return std::memcmp(a, b, count * sizeof(T)) == 0;
}

}  // namespace

TEST_CASE("ids and text are those of the C++ interface") {
  Both b;
  moe_error& error = b.error;
  std::int32_t ids[64];
  std::int64_t count = 0;
  OK(moe_tokenize(b.c_model, "Hello there", 11, MOE_TOKENIZE_ENDS, ids, 64, &count, &error));
  CHECK(std::vector<TokenId>(ids, ids + count) == b.ids);
}

TEST_CASE("logits of all rows, log-probabilities and counted work are those of the C++ interface") {
  Both b;
  moe_error& error = b.error;
  const auto sequence = b.session->open().value();
  const auto out = b.session->step(sequence, b.ids, moe::Logits::all).value();
  std::int64_t c_sequence = -1;
  OK(moe_session_open(b.c, &c_sequence, &error));
  moe_batch_item item;
  moe_batch_item_init(&item, sizeof item);
  item.sequence = c_sequence, item.logits = MOE_LOGITS_ALL;
  item.tokens = b.ids.data(), item.token_count = static_cast<std::int64_t>(b.ids.size());
  OK(moe_session_step(b.c, &item, 1, &error));
  moe_logits_view view{};
  view.struct_size = sizeof view;
  OK(moe_session_logits(b.c, &view, &error));
  REQUIRE(view.row_count == out.row_count);
  REQUIRE(view.vocab_size == out.vocab_size);
  CHECK(view.token_count == out.token_count);
  const auto values = static_cast<std::size_t>(view.row_count * view.vocab_size);
  CHECK(same_bits(view.values, out.logits.get(), values));

  // Retained, they stay while the session goes on, and after its end.
  const std::vector<float> copy(view.values, view.values + values);
  moe_logits* kept = nullptr;
  OK(moe_session_logits_retain(b.c, &kept, &error));
  for (int i = 0; i < 4; ++i) OK(moe_session_step(b.c, &item, 1, &error));
  CHECK(same_bits(view.values, copy.data(), values));

  const std::vector<std::int32_t> wanted = {0, 7, 3};
  double found[3], top[4];
  std::int32_t top_ids[4];
  OK(moe_logprobs(copy.data(), view.vocab_size, view.token_count, wanted.data(), 3, found, 4, top_ids, top, &error));
  const moe::RowSummary summary = moe::summarise(out.padded_row(0));
  for (int i = 0; i < 3; ++i) {
    const double expected = summary.log_probability(out.padded_row(0)[static_cast<std::size_t>(wanted[i])]);
    CHECK(same_bits(&expected, &found[i], 1));
  }
  CHECK(top_ids[0] == moe::greedy_token(out.row(0)).value());

  moe_work work{}, closed{};
  work.struct_size = closed.struct_size = sizeof work;
  moe_session* fresh = nullptr;
  OK(moe_session_create(b.c_model, nullptr, &fresh, &error));
  OK(moe_session_open(fresh, &item.sequence, &error));
  OK(moe_session_step(fresh, &item, 1, &error));
  OK(moe_session_executed(fresh, &work, &error));
  CHECK(work.total == b.session->executed().total());
  const auto n = static_cast<std::int64_t>(b.ids.size());
  OK(moe_model_flops(b.c_model, 0, n, n, &closed, &error));
  CHECK(same_bits(&work, &closed, 1));
  moe_session_free(fresh);

  moe_session_free(b.c);
  b.c = nullptr;
  CHECK(same_bits(view.values, copy.data(), values));
  moe_logits_release(kept);
}

TEST_CASE("sampled tokens are those of the C++ interface") {
  Both b;
  moe_error& error = b.error;
  std::vector<float> logits;
  for (int i = 0; i < 50; ++i) logits.push_back(static_cast<float>((i * 37) % 11) * 0.5f);
  moe_sampler_options options;
  moe_sampler_options_init(&options, sizeof options);
  options.temperature = 0.8, options.top_p = 0.9, options.top_k = 20, options.min_p = 0.01, options.seed = 11;
  options.repetition_penalty = 1.1, options.frequency_penalty = 0.2, options.presence_penalty = 0.3;
  const std::int32_t bias_token = 4;
  const double bias = 1.5;
  options.bias_tokens = &bias_token, options.biases = &bias, options.bias_count = 1;
  moe::SamplingConfig config;
  config.temperature = 0.8, config.top_p = 0.9, config.top_k = 20, config.min_p = 0.01, config.seed = 11;
  config.repetition_penalty = 1.1, config.frequency_penalty = 0.2, config.presence_penalty = 0.3;
  config.logit_bias = {{4, 1.5}};
  auto sampler = moe::Sampler::create(config).value();
  sampler.see_prompt(b.ids);
  moe_sampler* c = nullptr;
  OK(moe_sampler_create(&options, &c, &error));
  OK(moe_sampler_see_prompt(c, b.ids.data(), static_cast<std::int64_t>(b.ids.size()), &error));
  for (int i = 0; i < 100; ++i) {
    std::int32_t id = -1;
    OK(moe_sampler_next(c, logits.data(), 50, &id, &error));
    CHECK(id == sampler.next(logits).value());
  }
  moe_sampler_free(c);
}

TEST_CASE("replies are those of the C++ interface, with stop texts, a seed, and a prefix that is reused") {
  Both b;
  moe_error& error = b.error;
  auto generator = moe::Generator::create(b.model).value();
  for (const std::uint64_t seed : {1, 2, 3}) {
    moe::GenerateOptions options;
    options.max_tokens = 24, options.sampling.temperature = 1.0, options.sampling.seed = seed;
    options.stop = {"zzzz", "e"};
    const auto expected = generator.generate(moe::Prompt(b.ids), options).value();
    moe_sampler_options sampling;
    moe_sampler_options_init(&sampling, sizeof sampling);
    sampling.temperature = 1.0, sampling.seed = seed;
    moe_generate_options c;
    moe_generate_options_init(&c, sizeof c);
    const char* stops[] = {"zzzz", "e"};
    c.max_tokens = 24, c.sampling = &sampling, c.stops = stops, c.stop_count = 2;
    moe_reply reply{};
    reply.struct_size = sizeof reply;
    OK(moe_generate(b.c, b.ids.data(), static_cast<std::int64_t>(b.ids.size()), &c, &reply, &error));
    CHECK(reply.end == static_cast<std::int32_t>(expected.end));
    CHECK(reply.stop == (expected.end == moe::EndReason::stop_text ? 1 : -1));
    CHECK(reply.flops == expected.flops);
    CHECK(reply.reused_tokens == expected.reused_tokens);
    char text[4096];
    std::int32_t ids[64];
    std::int64_t length = 0, count = 0;
    OK(moe_reply_text(b.c, text, sizeof text, &length, &error));
    CHECK(std::string(text, static_cast<std::size_t>(length)) == expected.text);
    OK(moe_reply_tokens(b.c, ids, 64, &count, &error));
    CHECK(std::vector<TokenId>(ids, ids + count) == expected.tokens);
  }
}

TEST_CASE("scores are those of the C++ interface") {
  Both b;
  moe_error& error = b.error;
  auto scorer = moe::Scorer::create(b.model).value();
  const std::vector<std::string> texts = {" yes", " no", " perhaps"};
  const auto expected = scorer.score("Is it? ", texts).value();
  const char* labels[] = {" yes", " no", " perhaps"};
  double scores[3];
  std::int32_t greedy[3];
  std::int64_t tokens[3];
  OK(moe_score(b.c, "Is it? ", MOE_TEXT, labels, nullptr, 3, scores, greedy, tokens, &error));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(same_bits(&scores[i], &expected[i].log_likelihood, 1));
    CHECK(greedy[i] == static_cast<std::int32_t>(expected[i].is_greedy));
    CHECK(tokens[i] == expected[i].tokens);
  }
  const auto whole = scorer.score_text("Hello there, it is").value();
  double log_likelihood = 0;
  std::int64_t count = 0;
  OK(moe_score_text(b.c, "Hello there, it is", MOE_TEXT, &log_likelihood, &count, &error));
  CHECK(same_bits(&log_likelihood, &whole.log_likelihood, 1));
  CHECK(count == whole.tokens);
}

// Text in, text out: a reply has the same bits alone, in a batch, behind a reused prefix, in a small cache, and on any
// number of threads; what is reused and what it cost is counted exactly; a bad request is alone in its failure.

#include <cstring>
#include <random>

#include "generate/seeds.hpp"
#include "golden/golden.hpp"
#include "moe/generate.hpp"
#include "program.hpp"
#include "spoiled_model.hpp"

namespace {

namespace fs = std::filesystem;
using moe::EndReason;
using moe::GenerateOptions;
using moe::GenerateRequest;
using moe::Generation;
using moe::Generator;
using moe::TokenId;
using Ids = std::vector<TokenId>;

std::shared_ptr<const moe::Model> load(const std::string& path) {
  auto model = moe::Model::load((fs::path(MOE_SOURCE_DIR) / path).string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}
const std::shared_ptr<const moe::Model>& nano() {  // a compressed cache (MLA), a context of 1024
  static const auto model = load("models/nano/nano-moe");
  return model;
}
const std::shared_ptr<const moe::Model>& padded() {  // 320 rows for 316 tokens, a context of 256
  static const auto model = load("tests/data/golden/qwen3_moe");
  return model;
}
const std::shared_ptr<const moe::Model>& without_tokenizer() {  // sliding windows
  static const auto model = load("tests/data/variants/gpt_oss");
  return model;
}

Generator create(const std::shared_ptr<const moe::Model>& model, const moe::SessionOptions& options = {}) {
  auto generator = Generator::create(model, options);
  REQUIRE_MESSAGE(generator.has_value(), generator.error().message);
  return std::move(*generator);
}

Generation generate(Generator& generator, const moe::Prompt& prompt, const GenerateOptions& options = {}) {
  auto reply = generator.generate(prompt, options);
  REQUIRE_MESSAGE(reply.has_value(), reply.error().message);
  return std::move(*reply);
}

std::vector<std::vector<Generation>> generate(Generator& generator, const std::vector<GenerateRequest>& requests) {
  auto replies = generator.generate(requests);
  REQUIRE_MESSAGE(replies.has_value(), replies.error().message);
  REQUIRE(replies->size() == requests.size());
  return std::move(*replies);
}

/// Everything of a reply that may not depend on how it came about.
std::string bits(const Generation& g) {
  std::string out = g.text + '\0' + std::string(name_of(g.end)) + '\0' + g.stop + '\0';
  const auto add = [&](const auto& value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  for (const TokenId id : g.tokens) add(id);
  for (const moe::PositionLogProbabilities& p : g.log_probabilities) {
    add(p.chosen.token), add(p.chosen.log_probability);
    for (const moe::TokenLogProbability& best : p.best) add(best.token), add(best.log_probability);
  }
  add(g.prompt_tokens), add(g.seed);
  return out + (g.error ? g.error->message : "");
}

Ids random_ids(std::mt19937& random, std::size_t count, std::int64_t vocabulary) {
  Ids ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random() % static_cast<std::uint32_t>(vocabulary));
  return ids;
}

/// Prompts that share beginnings, all kinds of options.
std::vector<GenerateRequest> random_requests(std::mt19937& random, const moe::Model& model, std::size_t count) {
  const std::int64_t vocabulary = model.tokenizer() ? model.tokenizer()->vocab_size() : model.config().vocab_size;
  std::vector<GenerateRequest> out;
  const Ids trunk = random_ids(random, 150, vocabulary);
  while (out.size() < count) {
    Ids prompt(trunk.begin(), trunk.begin() + static_cast<long>(random() % 3 == 0 ? random() % 10 : random() % 150));
    const Ids own = random_ids(random, 1 + random() % 9, vocabulary);
    prompt.insert(prompt.end(), own.begin(), own.end());
    GenerateOptions o;
    o.max_tokens = 1 + static_cast<std::int64_t>(random() % 30);
    o.replies = 1 + static_cast<std::int64_t>(random() % 3);
    o.sampling.temperature = random() % 2 == 0 ? 0.0 : 1.1;
    o.sampling.seed = random();
    if (random() % 2 == 0) o.sampling.repetition_penalty = 1.2;
    if (random() % 2 == 0) o.log_probabilities = 2;
    if (random() % 4 == 0) o.end_tokens = moe::EndTokens::ignore;
    out.push_back({std::move(prompt), std::move(o)});
  }
  return out;
}

struct Cost {
  std::int64_t flops = 0, reused = 0;
};
Cost cost_of(const std::vector<std::vector<Generation>>& all) {
  Cost cost;
  for (const auto& replies : all)
    for (const Generation& g : replies) cost.flops += g.flops, cost.reused += g.reused_tokens;
  return cost;
}

void check_bits(std::uint32_t rounds, std::size_t count) {
  for (const auto& model : {nano(), padded(), without_tokenizer()}) {
    std::mt19937 random(7);
    for (std::uint32_t round = 0; round < rounds; ++round) {
      const auto requests = random_requests(random, *model, count);
      std::vector<std::string> expected;
      for (const GenerateRequest& r : requests) {
        Generator fresh = create(model, {.max_tokens = 256});
        const auto alone = generate(fresh, std::vector{r});
        for (const Generation& g : alone[0]) expected.push_back(bits(g));
      }
      const struct {
        std::int64_t cache, chunk;
        std::int32_t threads;
      } sizes[] = {{4096, 512, 2}, {256, 512, 1}, {256, 7, 1}, {512, 64, 2}};
      for (const auto& size : sizes) {
        moe::SessionOptions options;
        options.max_tokens = size.cache, options.chunk_tokens = size.chunk;
        if (size.threads > 1) options.threads = moe::openmp_pool(size.threads);
        Generator generator = create(model, options);
        for (int pass = 0; pass < 2; ++pass) {  // the second one over what the first one left
          CAPTURE(size.cache);
          CAPTURE(size.chunk);
          CAPTURE(pass);
          CAPTURE(round);
          const std::int64_t before = generator.session().executed().total();
          const auto got = generate(generator, requests);
          std::size_t i = 0;
          for (const auto& replies : got)
            for (const Generation& g : replies) CHECK(bits(g) == expected[i++]);
          CHECK(i == expected.size());
          CHECK(cost_of(got).flops == generator.session().executed().total() - before);
          CHECK((cost_of(got).reused > 0) == (pass == 1));
        }
        generator.forget();
        CHECK(generator.session().free_tokens() == size.cache);
      }
    }
  }
}

}  // namespace

TEST_CASE("same bits alone, in batches of any size, behind kept prefixes, in small caches, on two threads") {
  check_bits(1, 7);
}

TEST_CASE("full: the same for many requests" * doctest::skip()) { check_bits(20, 14); }

TEST_CASE("the next turn of a conversation computes its new tokens alone") {
  for (const auto& model : {nano(), padded()}) {
    Generator generator = create(model);
    GenerateOptions options;
    options.max_tokens = 20;
    options.log_probabilities = 0;
    const std::string first = "Numbers and words";
    const Generation one = generate(generator, first, options);
    CHECK(one.reused_tokens == 0);
    // As ids, so that the text's tokens are those of the reply.
    Ids prompt = *model->tokenizer()->encode(first, {.ends = moe::TextEnds::as_model});
    CHECK(one.prompt_tokens == static_cast<std::int64_t>(prompt.size()));
    prompt.insert(prompt.end(), one.tokens.begin(), one.tokens.end());
    const auto known = static_cast<std::int64_t>(prompt.size()) - 1;  // the last token was never run
    for (const TokenId id : {5, 6, 7}) prompt.push_back(id);

    const moe::Work before = generator.session().executed();
    const Generation two = generate(generator, prompt, options);
    const moe::Work after = generator.session().executed();
    CHECK(two.reused_tokens == known);
    CHECK(two.prompt_tokens == known + 4);
    CHECK(after.tokens - before.tokens == 4 + static_cast<std::int64_t>(two.tokens.size()) - 1);
    CHECK(after.head_tokens - before.head_tokens == static_cast<std::int64_t>(two.tokens.size()));
    CHECK(two.flops == after.total() - before.total());
    Generator fresh = create(model);
    CHECK(bits(generate(fresh, prompt, options)) == bits(two));

    // The same prompt again: its last token is computed for its logits.
    const moe::Work again = generator.session().executed();
    const Generation three = generate(generator, prompt, options);
    CHECK(three.reused_tokens == three.prompt_tokens - 1);
    CHECK(generator.session().executed().tokens - again.tokens == static_cast<std::int64_t>(three.tokens.size()));
    CHECK(bits(three) == bits(two));
    generator.forget();
    CHECK(generate(generator, prompt, options).reused_tokens == 0);
  }
}

TEST_CASE("conversations that take turns keep their prefixes, until one needs the room of the other") {
  Generator generator = create(padded(), {.max_tokens = 320});  // five pages; each conversation takes two
  GenerateOptions options;
  options.max_tokens = 4;
  const Ids a(70, 5), b(70, 6), c(70, 7);
  const auto reused = [&](const Ids& prompt) { return generate(generator, prompt, options).reused_tokens; };
  CHECK(reused(a) == 0);
  CHECK(reused(b) == 0);
  for (int turn = 0; turn < 3; ++turn) {
    CHECK(reused(a) == 69);
    CHECK(reused(b) == 69);
  }
  // Both at a time, in one batch.
  const auto both = generate(generator, std::vector<GenerateRequest>{{a, options}, {b, options}});
  CHECK(both[0][0].reused_tokens == 69);
  CHECK(both[1][0].reused_tokens == 69);
  CHECK(reused(a) == 69);
  CHECK(reused(b) == 69);
  // a was used less recently than b.
  CHECK(reused(c) == 0);
  CHECK(reused(b) == 69);
  CHECK(reused(c) == 69);
  CHECK(reused(a) == 0);
  CHECK(reused(c) == 69);
  CHECK(reused(b) == 0);
  // A reply may grow into the room of everything that is kept.
  options.max_tokens = 0;
  options.end_tokens = moe::EndTokens::ignore;
  const Generation long_one = generate(generator, a, options);
  CHECK(long_one.tokens.size() == 256 - 70 + 1);
  CHECK(long_one.end == EndReason::max_tokens);
}

TEST_CASE("pieces are the text and the tokens of the reply; a stop text ends it across tokens") {
  Generator generator = create(nano());
  std::string streamed;
  Ids tokens;
  GenerateOptions options;
  options.max_tokens = 40;
  options.end_tokens = moe::EndTokens::ignore;
  options.on_piece = [&](const moe::Piece& piece) {
    CHECK(piece.request == 0);
    streamed += piece.text;
    tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
  };
  const std::string prompt = "Question: Who";
  const Generation whole = generate(generator, prompt, options);
  CHECK(whole.text == streamed);
  CHECK(whole.tokens == tokens);
  CHECK(whole.tokens.size() == 40);
  CHECK(whole.end == EndReason::max_tokens);
  CHECK(whole.reply_seconds > 0);
  CHECK(whole.prompt_seconds > 0);

  // Ends inside one token and begins inside another: from the middle of token 10 to the middle of token 12.
  const auto text_of = [&](std::size_t count) {
    return *nano()->tokenizer()->decode_more({whole.tokens.begin(), whole.tokens.begin() + static_cast<long>(count)});
  };
  const std::size_t from = (text_of(10).size() + text_of(11).size()) / 2,
                    to = (text_of(12).size() + text_of(13).size() + 1) / 2;
  options.stop = {"never there", whole.text.substr(from, to - from)};
  const std::size_t at = whole.text.find(options.stop[1]);
  streamed.clear(), tokens.clear();
  const Generation cut = generate(generator, prompt, options);
  CHECK(cut.end == EndReason::stop_text);
  CHECK(cut.stop == options.stop[1]);
  CHECK(cut.text == whole.text.substr(0, at));
  CHECK(streamed == cut.text);
  CHECK(tokens == cut.tokens);
  CHECK(cut.tokens.size() < 40);
}

TEST_CASE("end tokens end a reply, and the next turn goes on behind them") {
  Generator generator = create(padded());
  GenerateOptions options;
  options.max_tokens = 12;
  const Generation free = generate(generator, "Numbers and words", options);
  options.stop_tokens = {free.tokens[5]};
  const std::size_t first =
      static_cast<std::size_t>(std::find(free.tokens.begin(), free.tokens.end(), free.tokens[5]) - free.tokens.begin());
  const Generation ended = generate(generator, "Numbers and words", options);
  CHECK(ended.end == EndReason::end_token);
  CHECK(ended.tokens == Ids(free.tokens.begin(), free.tokens.begin() + static_cast<long>(first) + 1));
  CHECK(free.text.starts_with(ended.text));
}

TEST_CASE("reply i draws with a seed made of the request's and i, whatever stands beside it") {
  CHECK(moe::generate::splitmix64(0) == 0xE220A8397B1DCDAFu);  // the published sequence begins with it
  GenerateOptions options;
  options.max_tokens = 10;
  options.sampling.temperature = 2.0;
  options.sampling.seed = 42;
  options.replies = 4;
  Generator generator = create(padded());
  const auto replies = generate(generator, std::vector<GenerateRequest>{{Ids{9, 8, 7}, options}})[0];
  REQUIRE(replies.size() == 4);
  CHECK(replies[0].seed == 42);
  options.replies = 1;
  std::size_t different = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(replies[i].seed == moe::generate::seed_of_reply(42, i));
    options.sampling.seed = replies[i].seed;
    CHECK(bits(generate(generator, Ids{9, 8, 7}, options)) == bits(replies[i]));
    different += replies[i].tokens != replies[0].tokens;
  }
  CHECK(different > 0);
  // The prompt is computed once and counts for the first reply.
  CHECK(replies[0].flops > replies[1].flops);
}

TEST_CASE("a cancelled reply comes back with what was written; others go on") {
  Generator generator = create(nano());
  GenerateOptions options;
  options.max_tokens = 30;
  options.end_tokens = moe::EndTokens::ignore;
  const Generation whole = generate(generator, "Question: Who", options);
  generator.forget();

  GenerateOptions cancelled = options;
  std::size_t written = 0;
  cancelled.on_piece = [&](const moe::Piece& piece) { written += piece.tokens.size(); };
  cancelled.cancelled = [&] { return written >= 7; };
  const std::int64_t before = generator.session().executed().total();
  const Generation part = generate(generator, "Question: Who", cancelled);
  CHECK(part.end == EndReason::cancelled);
  CHECK(part.tokens == Ids(whole.tokens.begin(), whole.tokens.begin() + 7));
  CHECK(whole.text.starts_with(part.text));
  CHECK_FALSE(part.text.empty());
  CHECK(part.flops == generator.session().executed().total() - before);
  // What it wrote is kept.
  Ids on = *nano()->tokenizer()->encode("Question: Who", {.ends = moe::TextEnds::as_model});
  on.insert(on.end(), part.tokens.begin(), part.tokens.end());
  CHECK(generate(generator, on, options).reused_tokens == static_cast<std::int64_t>(on.size()) - 1);

  written = 0;
  const auto both =
      generate(generator, std::vector<GenerateRequest>{{"Question: Who", cancelled}, {"Question: Who", options}});
  CHECK(both[0][0].end == EndReason::cancelled);
  CHECK(both[0][0].tokens.size() == 7);
  CHECK(bits(both[1][0]) == bits(whole));

  cancelled.cancelled = [] { return true; };
  generator.forget();
  const moe::Work idle = generator.session().executed();
  const Generation nothing = generate(generator, "Question: Who", cancelled);
  CHECK(nothing.end == EndReason::cancelled);
  CHECK(nothing.tokens.empty());
  CHECK(generator.session().executed() == idle);
}

TEST_CASE("cancelled inside a step: the step is undone, its work is counted") {
  Generator generator = create(nano());
  GenerateOptions options;
  options.max_tokens = 30;
  int asked = 0;
  options.cancelled = [&] { return ++asked == 3; };  // once between steps, then between layers
  const Generation part = generate(generator, std::string(600, 'a'), options);
  CHECK(part.end == EndReason::cancelled);
  CHECK(part.tokens.empty());
  CHECK(part.flops == generator.session().executed().total());
  CHECK(part.flops > 0);
  CHECK(generator.session().free_tokens() == 1024);
}

TEST_CASE("what cannot be says why, with its numbers, and its batch mates have their replies") {
  Generator generator = create(padded(), {.max_tokens = 128});
  GenerateOptions options;
  options.max_tokens = 5;
  const std::string expected = bits(generate(generator, Ids{1, 2, 3}, options));
  GenerateOptions wrong_temperature = options, no_replies = options, negative = options, wrong_top = options;
  wrong_temperature.sampling.temperature = -1, no_replies.replies = 0, negative.max_tokens = -2;
  wrong_top.log_probabilities = 100000;
  const struct {
    GenerateRequest request;
    const char* message;
  } cases[] = {
      {{Ids{}, options}, "the prompt has 0 tokens, expected at least 1"},
      {{std::string(), options}, "the prompt has 0 tokens, expected at least 1"},
      {{Ids(129, 1), options}, "the prompt has 129 tokens, expected at most 128 (room in the key/value cache)"},
      {{Ids{1, 320}, options}, "token 1 of the prompt is 320, expected an id from 0 to 319"},
      {{Ids{-1}, options}, "token 0 of the prompt is -1, expected an id from 0 to 319"},
      {{Ids{1}, wrong_temperature}, "temperature is -1.0"},
      {{Ids{1}, no_replies}, "replies is 0, expected 1 to 1024"},
      {{Ids{1}, negative}, "max_tokens is -2, expected at least 0"},
      {{Ids{1}, wrong_top}, "log_probabilities is 100000, expected 0 to 1000"},
  };
  std::vector<GenerateRequest> requests{{Ids{1, 2, 3}, options}};
  for (const auto& c : cases) requests.push_back(c.request);
  requests.push_back({Ids{1, 2, 3}, options});
  const auto got = generate(generator, requests);
  CHECK(bits(got.front()[0]) == expected);
  CHECK(bits(got.back()[0]) == expected);
  for (std::size_t i = 0; i < std::size(cases); ++i) {
    REQUIRE(got[i + 1].size() == 1);
    REQUIRE(got[i + 1][0].error.has_value());
    CHECK_MESSAGE(got[i + 1][0].error->message.find(cases[i].message) != std::string::npos,
                  got[i + 1][0].error->message);
    CHECK(got[i + 1][0].error->code == moe::ErrorCode::bad_argument);
    const auto alone = generator.generate(cases[i].request.prompt, cases[i].request.options);
    REQUIRE_FALSE(alone.has_value());
    CHECK(alone.error().code == moe::ErrorCode::bad_argument);
  }
  options.replies = 2;
  CHECK(generator.generate(Ids{1}, options).error().message.find("replies is 2") != std::string::npos);
  CHECK(generate(generator, std::vector<GenerateRequest>{}).empty());
  Generator whole = create(padded());
  CHECK(whole.generate(Ids(257, 1)).error().message ==
        "the prompt has 257 tokens, expected at most 256 (the model's context)");
  CHECK(generate(whole, Ids(256, 1)).tokens.size() == 1);  // the last token is never run
}

TEST_CASE("a model without tokenizer takes ids and gives ids") {
  Generator generator = create(without_tokenizer());
  GenerateOptions options;
  options.max_tokens = 9;
  Ids streamed;
  options.on_piece = [&](const moe::Piece& piece) {
    CHECK(piece.text.empty());
    streamed.insert(streamed.end(), piece.tokens.begin(), piece.tokens.end());
  };
  const Generation reply = generate(generator, Ids{1, 2, 3}, options);
  CHECK(reply.text.empty());
  CHECK(reply.tokens.size() == 9);
  CHECK(streamed == reply.tokens);
  const auto text = generator.generate("Hello");
  REQUIRE_FALSE(text.has_value());
  CHECK(text.error().code == moe::ErrorCode::unsupported);
  options.stop = {"x"};
  CHECK(generator.generate(Ids{1}, options).error().message.find("tokenizer") != std::string::npos);
}

TEST_CASE("only tokens are drawn, or every row of the head where that is asked for") {
  Generator generator = create(padded());
  GenerateOptions options;
  options.max_tokens = 200;
  options.end_tokens = moe::EndTokens::ignore;
  options.sampling.temperature = 60;
  std::int64_t padding = 0;
  for (const auto candidates : {moe::Candidates::tokens, moe::Candidates::all_rows}) {
    options.candidates = candidates;
    padding = 0;
    for (const std::uint64_t seed : {1, 2, 3}) {
      options.sampling.seed = seed;
      const Generation reply = generate(generator, "A", options);
      for (const TokenId id : reply.tokens) padding += id >= 316;
    }
    CHECK((padding > 0) == (candidates == moe::Candidates::all_rows));
  }
}

TEST_CASE("max_tokens 0 goes to the end of context and cache, in a cache of any size") {
  GenerateOptions options;
  options.max_tokens = 0;
  options.end_tokens = moe::EndTokens::ignore;
  options.sampling.temperature = 1;
  options.replies = 2;
  for (const std::int64_t cache : {64, 128, 192, 1024}) {
    CAPTURE(cache);
    Generator generator = create(padded(), {.max_tokens = cache});
    const std::int64_t limit = std::min<std::int64_t>(cache, 256);
    for (const std::int64_t length : {std::int64_t{1}, std::int64_t{60}, limit - 1, limit}) {
      const Ids prompt(static_cast<std::size_t>(length), 4);
      const auto replies =
          generate(generator, std::vector<GenerateRequest>{{prompt, options}, {Ids{4, 4, 5}, options}});
      for (const Generation& g : replies[0]) {
        CHECK_FALSE(g.error.has_value());
        CHECK(static_cast<std::int64_t>(g.tokens.size()) == limit - length + 1);
      }
      for (const Generation& g : replies[1]) CHECK(static_cast<std::int64_t>(g.tokens.size()) == limit - 3 + 1);
    }
  }
}

TEST_CASE("over a caller's Session: its other sequences stay, and its room comes back") {
  const auto session = moe_test::open_session(padded(), {.max_tokens = 192});
  const moe::Sequence own = *session->open();
  moe_test::step(*session, own, Ids(70, 3));
  {
    Generator generator(*session);
    GenerateOptions options;
    options.max_tokens = 3;
    generate(generator, Ids(60, 4), options);
    const auto too_long = generator.generate(Ids(65, 4), options);
    REQUIRE_FALSE(too_long.has_value());
    CHECK(too_long.error().message.find("expected at most 64 (room") != std::string::npos);
    Generator moved = std::move(generator);
    CHECK(generate(moved, Ids(60, 4), options).reused_tokens == 59);
    CHECK(*session->length(own) == 70);
    CHECK(session->free_tokens() < 64);
  }
  CHECK(session->free_tokens() == 64);
}

TEST_CASE("logits that are not finite end the replies that they belong to, and no other") {
  const moe_test::ScratchDir scratch("moe_generator");
  const std::string folder = "tests/data/golden/qwen3_moe";
  const auto copy = [&](std::optional<TokenId> token) {
    auto model =
        moe::Model::load(moe_test::spoiled_model(fs::path(MOE_SOURCE_DIR) / folder, scratch.dir, token).string());
    REQUIRE_MESSAGE(model.has_value(), model.error().message);
    return *model;
  };
  constexpr TokenId kBad = 77;
  const auto sound = copy({}), spoiled = copy(kBad);
  GenerateOptions options, bad_reply;
  options.max_tokens = bad_reply.max_tokens = 6;
  options.sampling.logit_bias = {{kBad, -1e30}};
  bad_reply.sampling.logit_bias = {{kBad, 1e30}};  // drawn at once, and not finite when it is run
  const std::vector<GenerateRequest> requests = {{Ids{1, 2, 3}, options},       {Ids{1, 2, kBad}, options},
                                                 {Ids{1, 2, kBad, 4}, options}, {Ids{1, 2, 3}, bad_reply},
                                                 {Ids{1, 2, 3, 4}, options},    {Ids{9}, options}};
  Generator reference = create(sound);
  const auto expected = generate(reference, requests);
  for (const std::int64_t chunk : {1, 4, 512}) {
    Generator generator = create(spoiled, {.chunk_tokens = chunk});
    const auto got = generate(generator, requests);
    std::int64_t flops = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      CAPTURE(i);
      flops += got[i][0].flops;
      CHECK(got[i][0].error.has_value() == (i >= 1 && i <= 3));
      if (got[i][0].error)
        CHECK(got[i][0].error->code == moe::ErrorCode::non_finite);
      else
        CHECK(bits(got[i][0]) == bits(expected[i][0]));
    }
    CHECK(got[3][0].tokens == Ids{kBad});
    CHECK(flops == generator.session().executed().total());
    generator.forget();
    CHECK(generator.session().free_tokens() == 256);
  }
}

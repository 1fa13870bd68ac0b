// How replies end: stop texts, end tokens, cancelled, not finite, or before they begin, each independently.

#include "generator_support.hpp"
#include "program.hpp"
#include "spoiled_model.hpp"

namespace generator_ends_test {

using namespace moe_test;

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

  for (const std::size_t which : {0u, 1u}) {  // whichever of the two comes first
    written = 0;
    std::vector<GenerateRequest> requests(2, {"Question: Who", options});
    requests[which].options = cancelled;
    const auto both = generate(generator, requests);
    CHECK(both[which][0].end == EndReason::cancelled);
    CHECK(both[which][0].tokens.size() == 7);
    CHECK(bits(both[1 - which][0]) == bits(whole));
  }

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

}  // namespace generator_ends_test

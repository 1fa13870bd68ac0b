// Where drafts meet the end of something: of the reply, of the context, of the original context of LongRoPE, of finite
// numbers, of the caller's patience. And drafts that cannot be.

#include "generate/draft_length.hpp"
#include "generate/ngram_index.hpp"
#include "scratch_dir.hpp"
#include "speculative_support.hpp"
#include "spoiled_model.hpp"

namespace speculative_ends_test {

using namespace moe_test;

namespace {

Ids some_prompt() { return {5, 6, 7}; }

/// The reply, its draft longer than itself by `junk`.
GenerateOptions with_draft(GenerateOptions options, const Ids& prompt, const Ids& tokens, std::int64_t count = 8) {
  options.draft = known_replies({joined(joined(prompt, tokens), Ids(70, 3))}, count);
  return options;
}

}  // namespace

TEST_CASE("an end token or a stop text inside a draft ends the reply, and the next turn goes on there") {
  for (const auto& model : {nano(), padded()}) {
    GenerateOptions options;
    options.max_tokens = 24;
    options.log_probabilities = 1;
    options.end_tokens = moe::EndTokens::ignore;
    const Ids prompt = some_prompt();
    Generator reference = create(model);
    const Generation whole = generate(reference, prompt, options);
    for (std::size_t cut = 0; cut < 20; ++cut)
      for (const bool by_text : {false, true}) {
        CAPTURE(cut);
        CAPTURE(by_text);
        GenerateOptions stopped = options;
        const std::string text(model->tokenizer()->bytes_of(whole.tokens[cut]));
        if (by_text && text.empty()) continue;
        if (by_text)
          stopped.stop = {text};
        else
          stopped.stop_tokens = {whole.tokens[cut]};
        Generator plain = create(model), drafted = create(model);
        const Generation expected = generate(plain, prompt, stopped);
        const Generation got = generate(drafted, prompt, with_draft(stopped, prompt, whole.tokens));
        CHECK(bits(got) == bits(expected));
        CHECK(got.end == (by_text ? EndReason::stop_text : EndReason::end_token));
        // Drafts of eight that are right hold every token behind the second but each ninth; the last one counts, too.
        const auto behind = std::max<std::int64_t>(0, static_cast<std::int64_t>(got.tokens.size()) - 2);
        CHECK(got.draft.accepted == behind - behind / 9);
        // What is kept is the reply, not the draft.
        const Ids next = joined(joined(prompt, expected.tokens), {9, 8});
        const Generation after = generate(drafted, next, options), after_plain = generate(plain, next, options);
        CHECK(bits(after) == bits(after_plain));
        CHECK(after.reused_tokens == after_plain.reused_tokens);
        CHECK(after.flops == after_plain.flops);
      }
  }
}

TEST_CASE("a draft does not cross the end of max_tokens, of the context or of the cache") {
  GenerateOptions options;
  options.end_tokens = moe::EndTokens::ignore;
  for (const std::int64_t cache : {64, 128, 1024})
    for (const std::int64_t length : {std::int64_t{1}, std::int64_t{50}, std::int64_t{63}, std::int64_t{64}})
      for (const std::int64_t most : {0, 1, 2, 9}) {
        CAPTURE(cache);
        CAPTURE(length);
        CAPTURE(most);
        options.max_tokens = most;
        const Ids prompt(static_cast<std::size_t>(length), 4);
        Generator plain = create(padded(), {.max_tokens = cache}), drafted = create(padded(), {.max_tokens = cache});
        const Generation expected = generate(plain, prompt, options);
        const Generation got = generate(drafted, prompt, with_draft(options, prompt, expected.tokens, 64));
        CHECK(bits(got) == bits(expected));
        CHECK(got.flops == drafted.session().executed().total());
        CHECK(got.draft.accepted == got.draft.drafted);
      }
}

TEST_CASE("a draft stops before LongRoPE's other frequencies") {
  const auto model = load("tests/data/shapes/phi3_longrope");
  const std::int64_t original = model->config().rope.original_max_position;
  REQUIRE(model->config().max_position > original + 10);
  GenerateOptions options;
  options.end_tokens = moe::EndTokens::ignore;
  options.log_probabilities = 3;
  options.max_tokens = 20;
  for (std::int64_t length = original - 14; length < original + 4; ++length)
    for (const bool is_right : {true, false}) {
      CAPTURE(length);
      CAPTURE(is_right);
      const Ids prompt(static_cast<std::size_t>(length), 4);
      Generator plain = create(model), drafted = create(model);
      const Generation expected = generate(plain, prompt, options);
      GenerateOptions with = options;
      with.draft = known_replies({joined(prompt, expected.tokens)}, 6, is_right ? 0 : 9);
      const Generation got = generate(drafted, prompt, with);
      CHECK(bits(got) == bits(expected));
      CHECK(got.flops == drafted.session().executed().total());
      CHECK(got.draft.drafted > 6);
    }
}

TEST_CASE("cancelled inside a draft: the reply has the tokens of plain decoding") {
  GenerateOptions options;
  options.max_tokens = 30;
  options.end_tokens = moe::EndTokens::ignore;
  const Ids prompt = some_prompt();
  Generator plain = create(nano());
  const Generation whole = generate(plain, prompt, options);
  for (std::size_t after = 1; after < 20; ++after)
    for (const std::size_t which : {0u, 1u, 2u}) {  // alone; first or second of two
      CAPTURE(after);
      CAPTURE(which);
      const std::size_t mine = which == 2 ? 1 : 0;
      std::vector<std::int64_t> reused;
      for (const bool is_drafted : {false, true}) {
        std::size_t written = 0;
        const GenerateOptions whole_one = is_drafted ? with_draft(options, prompt, whole.tokens) : options;
        std::vector<GenerateRequest> requests(which == 0 ? 1 : 2, {prompt, whole_one});
        requests[mine].options.on_piece = [&](const moe::Piece& piece) { written += piece.tokens.size(); };
        requests[mine].options.cancelled = [&] { return written >= after; };
        Generator generator = create(nano());
        const auto got = generate(generator, requests);
        CHECK(got[mine][0].end == EndReason::cancelled);
        CHECK(got[mine][0].tokens == Ids(whole.tokens.begin(), whole.tokens.begin() + static_cast<long>(after)));
        CHECK((totals_of(got).report.accepted > 0) == (is_drafted && (which != 0 || after > 2)));
        if (which != 0) CHECK(bits(got[1 - mine][0]) == bits(whole));
        CHECK(totals_of(got).flops == generator.session().executed().total());
        const Ids next = joined(joined(prompt, got[mine][0].tokens), {9, 8});
        reused.push_back(generate(generator, next, options).reused_tokens);
        generator.forget();
        CHECK(generator.session().free_tokens() == 1024);
      }
      CHECK(reused[0] == reused[1]);
    }
}

TEST_CASE("a wrong draft that has no finite logits costs a step, not the reply") {
  const moe_test::ScratchDir scratch("moe_speculative");
  constexpr TokenId kBad = 77;
  const auto spoiled =
      load(spoiled_model(fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe", scratch.dir, kBad).string());
  GenerateOptions options, bad_reply;
  options.max_tokens = bad_reply.max_tokens = 12;
  options.sampling.logit_bias = {{kBad, -1e30}};
  bad_reply.sampling.logit_bias = {{kBad, 1e30}};  // drawn at once, and not finite when it is run
  Generator plain = create(spoiled);
  std::vector<GenerateRequest> requests = {{Ids{1, 2, 3}, options}, {Ids{4, 2}, bad_reply}, {Ids{6, 2, 3, 4}, options}};
  const auto expected = generate(plain, requests);
  CHECK(expected[1][0].error.has_value());
  for (GenerateRequest& r : requests) {
    r.options.draft = {.kind = DraftKind::host, .tokens = 4, .length = DraftLength::fixed};
    r.options.draft.propose = [](std::span<const TokenId>, std::int64_t, Ids& out) { out = {9, kBad}; };
  }
  Generator drafted = create(spoiled);
  const auto got = generate(drafted, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(bits(got[i][0]) == bits(expected[i][0]));
    CHECK((got[i][0].draft.drafted > 0) == (i != 1));
  }
  CHECK(totals_of(got).flops == drafted.session().executed().total());
  drafted.forget();
  CHECK(drafted.session().free_tokens() == 256);

  // A draft model that has none itself: no draft, and its work is counted.
  const auto sound =
      load(spoiled_model(fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe", scratch.dir, {}).string());
  Generator guided = create(sound), alone = create(sound);
  REQUIRE(guided.use_draft_model(spoiled).has_value());
  for (const Ids& prompt : {Ids{1, 2, kBad}, Ids{1, 2, kBad, 4}}) {
    options.draft = {};
    const Generation wanted = generate(alone, prompt, options);
    options.draft = {.kind = DraftKind::model, .length = DraftLength::fixed};
    const std::int64_t before = executed(guided);
    const Generation found = generate(guided, prompt, options);
    CHECK(bits(found) == bits(wanted));
    CHECK(found.draft.drafted == 0);
    CHECK(found.draft.flops > 0);
    CHECK(found.flops == executed(guided) - before);
  }
}

TEST_CASE("proposals beyond the vocabulary or the number asked for are cut off") {
  GenerateOptions options;
  options.max_tokens = 20;
  options.end_tokens = moe::EndTokens::ignore;
  Generator plain = create(padded());
  const Generation expected = generate(plain, some_prompt(), options);
  for (const TokenId bad : {-1, 320, 1 << 30, 5}) {
    GenerateOptions with = with_draft(options, some_prompt(), expected.tokens, 3);
    with.draft.propose = [right = with.draft.propose, bad](auto written, std::int64_t most, Ids& out) {
      CHECK(most <= 3);
      right(written, 1, out);
      out.insert(out.end(), 1000, bad);
    };
    Generator generator = create(padded());
    const Generation got = generate(generator, some_prompt(), with);
    CHECK(bits(got) == bits(expected));
    CHECK(got.draft.accepted > 5);
    if (bad != 5) CHECK(got.draft.drafted == got.draft.accepted);
  }
}

TEST_CASE("a draft model that has too little room drafts less") {
  GenerateOptions options;
  options.max_tokens = 60;
  options.end_tokens = moe::EndTokens::ignore;
  const std::vector<GenerateRequest> requests = {{Ids(40, 4), options}, {Ids(90, 5), options}, {Ids{1}, options}};
  Generator plain = create(padded());
  const auto expected = generate(plain, requests);
  auto with = requests;
  for (GenerateRequest& r : with) r.options.draft = {.kind = DraftKind::model, .length = DraftLength::fixed};
  std::int64_t drafted = 0;
  for (const std::int64_t room : {64, 128, 256, 512}) {
    CAPTURE(room);
    Generator generator = create(padded());
    REQUIRE(generator.use_draft_model(padded(), {.max_tokens = room}).has_value());
    for (int pass = 0; pass < 2; ++pass) {
      const std::int64_t before = executed(generator);
      const auto got = generate(generator, with);
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(bits(got[i][0]) == bits(expected[i][0]));
      CHECK(totals_of(got).flops == executed(generator) - before);
      if (pass == 1) continue;
      CHECK(totals_of(got).report.drafted >= drafted);
      drafted = totals_of(got).report.drafted;
    }
  }
  CHECK(drafted > 100);
}

TEST_CASE("a draft model with a shorter context drafts as far as it reaches") {
  const moe_test::ScratchDir scratch("moe_speculative");
  const fs::path copy = scratch.dir / "short";
  fs::copy(fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe", copy);
  auto config = nlohmann::json::parse(read_file(copy / "config.json"));
  config["max_position_embeddings"] = 40;
  fs::remove(copy / "config.json");
  std::ofstream(copy / "config.json") << config.dump();
  GenerateOptions options;
  options.max_tokens = 60;
  options.end_tokens = moe::EndTokens::ignore;
  for (const std::size_t length : {5, 39, 40, 41, 100}) {
    Generator plain = create(padded()), drafted = create(padded());
    REQUIRE(drafted.use_draft_model(load(copy.string())).has_value());
    options.draft = {};
    const Generation expected = generate(plain, Ids(length, 4), options);
    options.draft = {.kind = DraftKind::model, .length = DraftLength::fixed};
    const Generation got = generate(drafted, Ids(length, 4), options);
    CHECK(bits(got) == bits(expected));
    CHECK(got.flops == executed(drafted));
    CHECK(got.draft.drafted <= std::max<std::int64_t>(0, 40 - static_cast<std::int64_t>(length)));
    CHECK((got.draft.drafted > 20) == (length == 5));
  }
}

TEST_CASE("what cannot draft is refused with its reason") {
  Generator generator = create(nano());
  const auto refused = [&](const DraftOptions& draft) {
    GenerateOptions options;
    options.draft = draft;
    const auto reply = generator.generate("a", options);
    REQUIRE_FALSE(reply.has_value());
    CHECK(reply.error().code == moe::ErrorCode::bad_argument);
    return reply.error().message;
  };
  CHECK(refused({.kind = DraftKind::ngram, .tokens = -1}) == "draft.tokens is -1, expected 0 to 64");
  CHECK(refused({.kind = DraftKind::ngram, .tokens = 65}) == "draft.tokens is 65, expected 0 to 64");
  CHECK(refused({.kind = DraftKind::host}).find("propose is empty") != std::string::npos);
  CHECK(refused({.kind = DraftKind::model}).find("no draft model") != std::string::npos);
  const auto differs = [&](std::shared_ptr<const moe::Model> model) {
    const auto used = generator.use_draft_model(std::move(model));
    REQUIRE_FALSE(used.has_value());
    CHECK(generator.draft_session() == nullptr);
    return used.error().message;
  };
  CHECK(differs(nullptr) == "the draft model is null");
  CHECK(differs(padded()).find("the number of tokens is 316, expected ") != std::string::npos);
  CHECK(differs(without_tokenizer()).find("its tokenizer is none, expected there") != std::string::npos);
  // The same number of tokens, one of them another.
  const moe_test::ScratchDir scratch("moe_speculative");
  fs::copy(fs::path(MOE_SOURCE_DIR) / "models/nano/nano-dense-flops", scratch.dir / "other");
  std::string text = read_file(scratch.dir / "other/tokenizer.json");
  auto json = nlohmann::json::parse(text);
  auto& vocabulary = json["model"]["vocab"];
  std::string first, second;
  for (const auto& [token, id] : vocabulary.items()) (id == 40 ? first : id == 41 ? second : text) = token;
  std::swap(vocabulary[first], vocabulary[second]);
  fs::remove(scratch.dir / "other/tokenizer.json");
  std::ofstream(scratch.dir / "other/tokenizer.json") << json.dump();
  CHECK(differs(load((scratch.dir / "other").string())).find("token 40 is ") != std::string::npos);
  CHECK(generator.use_draft_model(load("models/nano/nano-dense-params")).has_value());
  CHECK(generator.draft_session() != nullptr);
}

TEST_CASE("the n-gram search finds the longest match, the latest of equal ones, and goes on in its own copy") {
  moe::generate::NgramIndex index;
  Ids text = {1, 2, 3, 9, 8, 2, 3, 4, 1, 2, 3};
  index.extend(std::span(text).first(4));
  index.extend(text);
  const auto match = index.find(text);
  CHECK(match.next == 3);
  CHECK(match.length == 3);
  Ids draft;
  moe::generate::copy_from(text, match.next, 12, draft);
  CHECK(draft == Ids{9, 8, 2, 3, 4, 1, 2, 3, 9, 8, 2, 3});
  text = {2, 3, 7, 2, 3, 8, 2, 3};
  moe::generate::NgramIndex latest;
  latest.extend(text);
  CHECK(latest.find(text).next == 5);
  for (const Ids& none : {Ids{}, Ids{1}, Ids{1, 2}, Ids{1, 2, 3, 2, 1}}) {
    moe::generate::NgramIndex empty;
    empty.extend(none);
    CHECK(empty.find(none).length == 0);
  }
  // Against the plain search.
  std::mt19937 random(5);
  Ids grown;
  moe::generate::NgramIndex growing;
  for (int i = 0; i < 400; ++i) {
    grown.push_back(static_cast<TokenId>(random() % 6));
    growing.extend(grown);
    std::size_t best = 0, next = 0;
    for (std::size_t end = grown.size() - 1; end >= 2; --end) {
      std::size_t length = 0;
      while (length < end && length < 32 && grown[end - 1 - length] == grown[grown.size() - 1 - length]) ++length;
      if (length >= 2 && length > best) best = length, next = end;
    }
    CHECK(growing.find(grown).length == best);
    CHECK(growing.find(grown).next == next);
  }
}

TEST_CASE("the length of drafts follows what was right") {
  using moe::generate::LengthControl;
  const DraftOptions options{.kind = DraftKind::ngram, .tokens = 12};
  LengthControl control(options);
  CHECK(control.choose(0, 0.2, 0) == 0);
  CHECK(control.choose(0, 0.2, 5) >= 1);
  std::int64_t last = 1;
  for (int i = 0; i < 40; ++i) {
    last = control.choose(0, 0.1, 64);
    control.note(0, last, last);
  }
  CHECK(last == 12);
  CHECK(control.choose(0, 0.1, 3) == 3);
  // Another trust is learned apart; costs as high as a step of its own never pay.
  CHECK(control.choose(1, 0.2, 12) < 12);
  int tries = 0;
  for (int i = 0; i < 256; ++i) tries += control.choose(2, 1.0, 12) > 0;
  CHECK(tries > 0);
  CHECK(tries <= 6);
  // Fixed means fixed.
  LengthControl fixed({.kind = DraftKind::ngram, .tokens = 4, .length = DraftLength::fixed});
  for (int i = 0; i < 10; ++i) {
    CHECK(fixed.choose(0, 1.0, 64) == 4);
    fixed.note(0, 4, 0);
  }
  CHECK(moe::generate::cost_of_token(1.0) == doctest::Approx(1.0));
  CHECK(moe::generate::cost_among(0.2, 1) == doctest::Approx(0.2));
  CHECK(moe::generate::cost_among(0.2, 100) > 0.9);
}

}  // namespace speculative_ends_test

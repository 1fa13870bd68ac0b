// Replies with drafts are those of plain decoding, to the bit: tokens, text, log-probabilities. For every kind of draft,
// model, option, size of the cache and of the batch.

#include "speculative_support.hpp"

namespace speculative_test {

using namespace moe_test;

namespace {

using Models = std::vector<std::pair<std::shared_ptr<const moe::Model>, std::shared_ptr<const moe::Model>>>;

/// A model, and one that drafts for it: another of its vocabulary, or where there is none the model itself.
Models models() {
  static const auto small = load("models/nano/nano-dense-flops"), long_rope = load("tests/data/shapes/phi3_longrope");
  return {{nano(), small}, {padded(), padded()}, {without_tokenizer(), without_tokenizer()}, {long_rope, long_rope}};
}

std::vector<GenerateRequest> requests_for(std::mt19937& random, const moe::Model& model, std::size_t count) {
  std::vector<GenerateRequest> out;
  while (out.size() < count) {
    GenerateRequest request{repetitive_prompt(random, model), any_options(random, model, 24)};
    if (random() % 4 == 0 && !out.empty()) request.prompt = out[random() % out.size()].prompt;
    const auto room = model.config().max_position - static_cast<std::int64_t>(std::get<Ids>(request.prompt).size());
    if (random() % 16 == 0 && room < 64) request.options.max_tokens = 0;
    out.push_back(std::move(request));
  }
  return out;
}

void add_draft(std::mt19937& random, DraftKind kind, GenerateOptions& options) {
  options.draft.kind = kind;
  options.draft.tokens = static_cast<std::int64_t>(random() % 13);
  options.draft.length = random() % 2 == 0 ? DraftLength::fixed : DraftLength::adaptive;
}

std::vector<std::string> bits_of(const std::vector<std::vector<Generation>>& all) {
  std::vector<std::string> out;
  for (const auto& replies : all)
    for (const Generation& g : replies) out.push_back(bits(g));
  return out;
}

/// Models for a kind of draft.
Models models_for(DraftKind kind) {
  if (kind != DraftKind::mtp) return models();
  Models out;
  for (const auto& model : models_with_mtp()) out.emplace_back(model, nullptr);
  return out;
}

/// The session that drafts, with its room.
void use_drafter(Generator& generator, DraftKind kind, const std::shared_ptr<const moe::Model>& draft,
                 const moe::SessionOptions& options) {
  if (kind == DraftKind::model) REQUIRE(generator.use_draft_model(draft, options).has_value());
  if (kind == DraftKind::mtp) REQUIRE(generator.use_mtp(options).has_value());
}

/// `count` prompts of each model, plainly and with drafts: in one batch, in small caches and chunks, one by one.
void check_kind(DraftKind kind, std::size_t count, std::uint32_t seed) {
  for (const auto& pair : models_for(kind)) {
    const auto &model = pair.first, &draft = pair.second;  // clang 14 lets no structured binding into a lambda
    std::mt19937 random(seed);
    const std::int64_t context = model->config().max_position;
    auto requests = requests_for(random, *model, count);
    const auto plain = [&](moe::KvType kv) {
      Generator generator = create(model, {.kv = kv, .max_tokens = 4096});
      auto without = requests;
      for (GenerateRequest& r : without) r.options.draft = {};
      return bits_of(generate(generator, without));
    };
    for (GenerateRequest& r : requests) add_draft(random, kind, r.options);
    const auto expected = plain(moe::KvType::f16);
    const struct {
      std::int64_t cache, chunk;
      bool alone;
      moe::KvType kv = moe::KvType::f16;
    } sizes[] = {{4096, 512, false},
                 {std::min<std::int64_t>(context, 256), 7, false},
                 {context, 512, true},
                 {4096, 512, false, moe::KvType::q8_0}};
    moe::DraftReport all;
    for (const auto& size : sizes) {
      CAPTURE(size.cache);
      CAPTURE(size.chunk);
      CAPTURE(size.alone);
      Generator generator = create(model, {.kv = size.kv,
                                           .max_tokens = size.cache,
                                           .chunk_tokens = size.chunk,
                                           .record_states = kind == DraftKind::mtp});
      use_drafter(generator, kind, draft, {.max_tokens = size.cache});
      std::vector<std::vector<Generation>> got;
      if (size.alone)
        for (const GenerateRequest& r : requests) got.push_back(generate(generator, std::vector{r})[0]);
      else
        got = generate(generator, requests);
      const DraftTotals totals = totals_of(got);
      CHECK(bits_of(got) == (size.kv == moe::KvType::f16 ? expected : plain(size.kv)));
      CHECK(totals.flops == executed(generator));
      CHECK(totals.report.accepted <= totals.report.drafted);
      all += totals.report;
      generator.forget();
      CHECK(generator.session().free_tokens() >= size.cache);
      const moe::Session* drafter = kind == DraftKind::mtp ? generator.mtp_session() : generator.draft_session();
      CHECK(totals.report.flops == (drafter != nullptr ? drafter->executed().total() : 0));
    }
    if (kind != DraftKind::model || draft != model) CHECK(all.drafted > all.accepted);  // itself it knows
    // That of the golden model is random as well: it is right by chance.
    // Of fewer than 200 drafts all may be wrong.
    if ((kind != DraftKind::mtp || model == models_with_mtp().back()) && all.drafted >= 200) CHECK(all.accepted > 0);
    MESSAGE(model->config().family << ": drafted " << all.drafted << ", accepted " << all.accepted);
  }
}

}  // namespace

// 200 prompts of four models for each kind.
TEST_CASE("n-gram drafts: 200 prompts") { check_kind(DraftKind::ngram, 50, 1); }
TEST_CASE("drafts of a second model: 200 prompts") { check_kind(DraftKind::model, 50, 2); }
TEST_CASE("drafts of the MTP layer: 200 prompts for each model") { check_kind(DraftKind::mtp, 200, 3); }
TEST_CASE("full: 200 prompts for each model, several times" * doctest::skip()) {
  for (std::uint32_t seed = 10; seed < 14; ++seed)
    for (const DraftKind kind : {DraftKind::ngram, DraftKind::model, DraftKind::mtp}) check_kind(kind, 200, seed);
}

// A cache of four pages, where sequences that are recomputed for LongRoPE need more room than their tokens.
TEST_CASE("n-gram drafts where recomputed sequences fill the cache") { check_kind(DraftKind::ngram, 200, 13); }

TEST_CASE("full: every golden model that can be loaded" * doctest::skip()) {
  for (const GoldenCase& c : golden_cases()) {
    CAPTURE(c.name);
    const auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
    if (!model) {
      report_skip(c.name, model.error().message);
      continue;
    }
    std::mt19937 random(3);
    auto requests = requests_for(random, **model, 24);
    Generator plain = create(*model);
    const auto expected = bits_of(generate(plain, requests));
    for (const DraftKind kind : {DraftKind::ngram, DraftKind::model}) {
      for (GenerateRequest& r : requests) add_draft(random, kind, r.options);
      Generator generator = create(*model);
      REQUIRE(generator.use_draft_model(*model).has_value());
      const auto got = generate(generator, requests);
      CHECK(bits_of(got) == expected);
      CHECK(totals_of(got).flops == executed(generator));
    }
  }
}

TEST_CASE("a draft that is always right makes fewer steps, one that is always wrong makes none") {
  for (const auto& pair : models()) {
    const auto& model = pair.first;
    GenerateOptions options;
    options.max_tokens = std::min<std::int64_t>(30, model->config().max_position - 3);
    options.end_tokens = moe::EndTokens::ignore;
    options.log_probabilities = 2;
    for (const double temperature : {0.0, 0.9}) {
      options.sampling.temperature = temperature;
      const Ids prompt = {5, 6, 7};
      Generator plain = create(model);
      const Generation expected = generate(plain, prompt, options);
      const auto run = [&](std::int64_t tokens, TokenId change) {
        GenerateOptions with = options;
        with.draft = known_replies({joined(prompt, expected.tokens)}, tokens, change);
        Generator generator = create(model);
        const Generation got = generate(generator, prompt, with);
        CHECK(bits(got) == bits(expected));
        CHECK(got.flops == executed(generator));
        // Every token but the last is run once, and every wrong one.
        if (model->config().rope.scaling != moe::RopeScaling::longrope) {
          const auto useful = static_cast<std::int64_t>(prompt.size() + expected.tokens.size()) - 1;
          CHECK(generator.session().executed().tokens == useful + got.draft.drafted - got.draft.accepted);
        }
        return got;
      };
      for (const std::int64_t tokens : {1, 5, 8, 64}) {
        const Generation right = run(tokens, 0), wrong = run(tokens, 9);
        CHECK(right.draft.accepted == right.draft.drafted);
        CHECK(right.draft.drafted > options.max_tokens / 4);
        CHECK(right.draft.acceptance() == 1.0);
        CHECK(wrong.draft.accepted < wrong.draft.drafted);  // the reply itself may hold the change
      }
      CHECK(run(0, 0).draft.drafted == 0);
      CHECK(run(0, 0).flops == expected.flops);
    }
  }
}

// The random numbers of a sampled reply are drawn once a token, in order: a draft of the model for itself, which looks
// ahead with the same ones, is right wherever the draft's logits are the model's.
TEST_CASE("a model that drafts for itself is right about what it samples") {
  for (const auto& model : {nano(), padded(), without_tokenizer()}) {
    Generator generator = create(model), plain = create(model);
    REQUIRE(generator.use_draft_model(model).has_value());
    GenerateOptions options;
    options.max_tokens = 40;
    options.end_tokens = moe::EndTokens::ignore;
    options.sampling = {.temperature = 1.3, .top_p = 0.95, .repetition_penalty = 1.1, .presence_penalty = 0.2};
    for (const std::uint64_t seed : {1, 2, 3}) {
      options.sampling.seed = seed;
      options.draft = {};
      const Generation expected = generate(plain, Ids{3, 4, 5}, options);
      options.draft = {.kind = DraftKind::model, .tokens = 7, .length = DraftLength::fixed};
      const Generation got = generate(generator, Ids{3, 4, 5}, options);
      CHECK(bits(got) == bits(expected));
      CHECK(got.draft.accepted == got.draft.drafted);
      CHECK(got.draft.accepted >= 30);
      CHECK(got.draft.flops > 0);
    }
  }
}

TEST_CASE("drafts that are never right soon cost next to nothing; those that are always right become long") {
  const auto& model = nano();
  GenerateOptions options;
  options.max_tokens = 600;
  options.end_tokens = moe::EndTokens::ignore;
  Generator plain = create(model);
  const Generation expected = generate(plain, Ids{5, 6, 7}, options);
  for (const bool is_right : {false, true}) {
    options.draft = known_replies({joined({5, 6, 7}, expected.tokens)}, 8);
    options.draft.length = DraftLength::adaptive;
    options.draft.propose = [right = options.draft.propose, is_right](auto written, std::int64_t most, Ids& out) {
      right(written, most, out);
      if (!is_right)
        for (TokenId& id : out) id = id == 0 ? 1 : id - 1;
    };
    Generator generator = create(model);
    const Generation got = generate(generator, Ids{5, 6, 7}, options);
    CHECK(bits(got) == bits(expected));
    if (is_right) {
      CHECK(got.draft.accepted == got.draft.drafted);
      CHECK(got.draft.accepted > 500);
    } else {
      CHECK(got.draft.accepted == 0);
      CHECK(got.draft.drafted > 3);
      CHECK(got.draft.drafted < 15);
    }
  }
}

}  // namespace speculative_test

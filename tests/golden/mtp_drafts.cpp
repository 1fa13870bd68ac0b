// The MTP layer follows prompts and replies: what it drafts is what its logits say behind the states of the model.

#include "generate/drafts.hpp"
#include "speculative_support.hpp"

namespace mtp_drafts_test {

using namespace moe_test;

namespace {

GenerateOptions greedy(std::int64_t tokens) {
  GenerateOptions options;
  options.max_tokens = tokens;
  options.end_tokens = moe::EndTokens::ignore;
  options.candidates = moe::Candidates::all_rows;
  return options;
}

Generator create_with_mtp(const std::shared_ptr<const moe::Model>& model, std::int64_t chunk_tokens = 512) {
  Generator generator = create(model, {.chunk_tokens = chunk_tokens, .record_states = true});
  REQUIRE(generator.use_mtp().has_value());
  return generator;
}

/// What an MTP layer drafts behind the first `written` tokens of a text, of which the last is not run yet: from the
/// model's states, and from its own for tokens that it drafted itself.
Ids draft_behind(const std::shared_ptr<const moe::Model>& model, std::span<const float> states, const Ids& text,
                 std::size_t written, std::size_t count) {
  const auto session = open_session(model->mtp(), {.record_states = true});
  const moe::Sequence sequence = *session->open();
  const auto D = static_cast<std::size_t>(model->config().hidden_size);
  Ids next(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(written)), draft;
  std::vector<float> before(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(next.size() * D));
  while (draft.size() < count) {
    const moe::BatchItem item{sequence, next, moe::Logits::last, 0, before};
    const auto out = session->step({&item, 1});
    REQUIRE(out.has_value());
    const auto row = out->padded_row(0);
    draft.push_back(static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin()));
    next = {draft.back()};
    before.assign(session->states().end() - static_cast<std::ptrdiff_t>(D), session->states().end());
  }
  return draft;
}

}  // namespace

TEST_CASE("drafts of an MTP layer are what it says behind the states of the model") {
  for (const auto& model : models_with_mtp()) {
    CAPTURE(model->config().family);
    moe::DraftReport all;
    Generator generator = create_with_mtp(model), plain = create(model);
    std::mt19937 random(6);
    for (int i = 0; i < 12; ++i)
      for (const std::size_t count : {1, 3}) {
        const Ids prompt = repetitive_prompt(random, *model);
        GenerateOptions options = greedy(40);
        const Generation expected = generate(plain, prompt, options);
        const Ids text = joined(prompt, expected.tokens), next(text.begin() + 1, text.end());
        const auto run = run_mtp(model, {}, std::span(text).first(next.size()), next, next.size());
        moe::DraftReport wanted;
        // A reply's first token is run without a draft, and a draft ends before the last token, which is not run.
        for (std::size_t w = prompt.size() + 2; w + 1 < text.size();) {
          const Ids draft = draft_behind(model, run.states, text, w, std::min(count, text.size() - w - 1));
          std::size_t right = 0;
          while (right < draft.size() && draft[right] == text[w + right]) ++right;
          wanted += {.drafted = static_cast<std::int64_t>(draft.size()), .accepted = static_cast<std::int64_t>(right)};
          w += right + 1;
        }
        options.draft = {
            .kind = DraftKind::mtp, .tokens = static_cast<std::int64_t>(count), .length = DraftLength::fixed};
        generator.forget();  // behind a prompt that is in the cache some states are not known
        const Generation got = generate(generator, prompt, options);
        CHECK(bits(got) == bits(expected));
        CHECK(got.draft.drafted == wanted.drafted);
        CHECK(got.draft.accepted == wanted.accepted);
        all += wanted;
      }
    MESSAGE(model->config().family << ": drafted " << all.drafted << ", accepted " << all.accepted);
    CHECK(all.drafted > all.accepted);
  }
}

// The model's own layers add nothing: the last token decides the next one, and the MTP layer knows it as well.
TEST_CASE("an MTP layer that is always right makes fewer steps, for several tokens at a time as well") {
  const ScratchDir scratch("moe_mtp_drafts");
  for (const GoldenCase& c : models_for_mtp_copies()) {
    const auto model = load_with_mtp(write_mtp_copy(c.model, scratch.dir / c.name, {.states = 0.0f, .branches = 0.0f}));
    for (const double temperature : {0.0, 0.9})
      for (const std::int64_t tokens : {1, 3, 8}) {
        CAPTURE(temperature);
        CAPTURE(tokens);
        GenerateOptions options = greedy(60);
        options.sampling.temperature = temperature;
        Generator generator = create_with_mtp(model), plain = create(model);
        const Generation expected = generate(plain, Ids{5, 6, 7}, options);
        options.draft = {.kind = DraftKind::mtp, .tokens = tokens, .length = DraftLength::fixed};
        const Generation got = generate(generator, Ids{5, 6, 7}, options);
        CHECK(bits(got) == bits(expected));
        CHECK(got.draft.drafted >= 60 * tokens / (tokens + 1) - 8);
        // norm(norm(x)) is not norm(x) to the bit: where two tokens are as likely, it may be wrong.
        CHECK(got.draft.acceptance() > 0.9);
        CHECK(got.flops == executed(generator));
        CHECK(got.draft.flops == generator.mtp_session()->executed().total());
        // Every token of prompt and reply once, and those of drafts once more when they were right.
        CHECK(generator.mtp_session()->executed().tokens <= 3 + 60 + got.draft.drafted);
      }
  }
}

TEST_CASE("a conversation goes on where it was, its prompts followed once for all replies") {
  for (const std::int64_t chunk : {512, 8})
    for (const auto& model : models_with_mtp()) {
      Generator generator = create_with_mtp(model, chunk), plain = create(model);
      GenerateOptions options = greedy(30);
      options.replies = 3;
      options.sampling = {.temperature = 0.8, .seed = 5};
      const Ids prompt(40, 7);
      const auto expected = generate(plain, {{prompt, options}});
      options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
      const auto got = generate(generator, {{prompt, options}});
      for (std::size_t k = 0; k < 3; ++k) CHECK(bits(got[0][k]) == bits(expected[0][k]));
      const std::int64_t run = generator.mtp_session()->executed().tokens;
      CHECK(run <= 40 + 3 * 30 + totals_of(got).report.drafted);
      // The next turn. Its beginning is not run again by either.
      const Ids next = joined(joined(prompt, got[0][0].tokens), {3, 4});
      options.replies = 1;
      const Generation after = generate(generator, next, options);
      options.draft = {};
      const Generation after_plain = generate(plain, next, options);
      CHECK(bits(after) == bits(after_plain));
      CHECK(after.reused_tokens == after_plain.reused_tokens);
      CHECK(generator.mtp_session()->executed().tokens - run <= 2 + 2 + 3 + 30 + after.draft.drafted);
      // A draft behind a conversation that was never followed.
      Generator late = create(model, {.record_states = true});
      CHECK(bits(generate(late, prompt, options)) == bits(generate(plain, prompt, options)));
      REQUIRE(late.use_mtp().has_value());
      options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
      const Generation found = generate(late, next, options);
      CHECK(bits(found) == bits(after_plain));
      CHECK(found.draft.drafted > 0);
    }
}

TEST_CASE("behind a wrong draft the MTP layer still gets the states of the tokens that were right") {
  for (const auto& model : models_with_mtp()) {
    CAPTURE(model->config().family);
    Generator plain = create(model);
    const Ids prompt = {5, 6, 7};
    GenerateOptions options = greedy(10);
    const Ids text = joined(prompt, generate(plain, prompt, options).tokens), next(text.begin() + 1, text.end());
    const auto run = run_mtp(model, {}, std::span(text).first(next.size()), next, next.size());
    const auto D = static_cast<std::size_t>(model->config().hidden_size);
    const auto states = [&](std::size_t from, std::size_t count) {
      const auto begin = run.states.begin() + static_cast<std::ptrdiff_t>(from * D);
      return std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(count * D));
    };
    options.draft = {.kind = DraftKind::mtp, .tokens = 1, .length = DraftLength::fixed};
    for (const std::size_t right : {0, 1, 2, 3}) {
      CAPTURE(right);
      const auto drafter = moe::generate::ModelDrafter::create_mtp(*model, {});
      REQUIRE(drafter.has_value());
      moe::generate::Drafts drafts(*model, {.mtp = drafter->get()});
      drafts.add(0, options, prompt);
      drafts.see(0, 0, states(0, 3));
      // A step with a draft of three tokens, then one without.
      std::vector<float> tried = states(3, 1 + right);
      tried.resize(4 * D, 1.0f);
      drafts.see(0, 3, tried);
      drafts.see(0, static_cast<std::int64_t>(4 + right), states(4 + right, 1));
      const std::size_t written = 6 + right;
      auto reply = moe::generate::Reply::create(nullptr, options, 10, 0, moe::generate::TextStart::goes_on);
      REQUIRE(reply.has_value());
      reply->result().tokens.assign(text.begin() + 3, text.begin() + static_cast<std::ptrdiff_t>(written));
      moe::batch::ReplyDraft draft{.request = 0, .most = 4};
      drafts.propose(std::span(&draft, 1), [&](std::int32_t) -> const moe::generate::Reply& { return *reply; });
      CHECK(draft.tokens == draft_behind(model, run.states, text, written, 1));
      // What it made of them, behind the two tokens that it ran with the prompt.
      const auto whole = open_session(model->mtp(), {.record_states = true});
      const auto all = states(0, written - 1);
      const moe::BatchItem item{*whole->open(), std::span(next).first(written - 1), moe::Logits::none, 0, all};
      REQUIRE(whole->step({&item, 1}).has_value());
      const std::vector<float> expected(whole->states().begin() + static_cast<std::ptrdiff_t>(2 * D),
                                        whole->states().end());
      CHECK(same_bits((*drafter)->session().states(), expected));
    }
  }
}

// Where prompts part, what they share is a node of its own. That node has no tokens to run when it is in the cache.
TEST_CASE("a shared beginning that is in the cache has no states, beside a prompt that has some") {
  for (const auto& model : models_with_mtp()) {
    CAPTURE(model->config().family);
    Generator generator = create_with_mtp(model), plain = create(model);
    const Ids shared(20, 7);
    const GenerateRequest first{joined(shared, {1, 2}), greedy(12)};
    const std::vector<GenerateRequest> rest = {
        {joined(shared, {3, 4}), greedy(12)}, {joined(shared, {5, 6}), greedy(12)}, {Ids{8, 9, 10}, greedy(12)}};
    generate(plain, std::vector{first});
    const auto expected = generate(plain, rest);
    const auto drafted = [](GenerateRequest request) {
      request.options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
      return request;
    };
    const auto before = generate(generator, std::vector{drafted(first)});
    std::vector<GenerateRequest> with;
    for (const GenerateRequest& request : rest) with.push_back(drafted(request));
    const auto got = generate(generator, with);
    for (std::size_t i = 0; i < got.size(); ++i) {
      CHECK(bits(got[i][0]) == bits(expected[i][0]));
      CHECK(got[i][0].reused_tokens == (i < 2 ? 20 : 0));
      CHECK(got[i][0].draft.drafted > 0);
    }
    CHECK(totals_of(before).flops + totals_of(got).flops == executed(generator));
  }
}

// All states of a step are in memory, several times.
TEST_CASE("with an MTP layer long prompts take several steps, and each of their tokens is followed once") {
  for (const auto& model : models_with_mtp()) {
    CAPTURE(model->config().family);
    std::int64_t most = 0, most_of_mtp = 0;
    const auto largest = [](std::int64_t& of) { return [&of](moe::Progress p) { of = std::max(of, p.total); }; };
    Generator plain = create(model);
    Generator generator = create(model, {.chunk_tokens = 8, .record_states = true, .on_progress = largest(most)});
    REQUIRE(generator.use_mtp({.chunk_tokens = 8, .on_progress = largest(most_of_mtp)}).has_value());
    const Ids prompt(60, 4);
    const std::vector<GenerateRequest> requests = {{prompt, greedy(16)}, {joined(prompt, {1, 2, 3}), greedy(16)}};
    const auto expected = generate(plain, requests);
    auto with = requests;
    for (GenerateRequest& r : with)
      r.options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
    const auto got = generate(generator, with);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(bits(got[i][0]) == bits(expected[i][0]));
    CHECK(totals_of(got).flops == executed(generator));
    CHECK(most < 2 * 8);
    CHECK(most_of_mtp <= 8);
    CHECK(generator.mtp_session()->executed().tokens <= 60 + 3 + 2 * 16 + totals_of(got).report.drafted);
    // Behind a prompt that was never followed, the MTP layer catches up in steps of that size, too.
    Generator late = create(model, {.record_states = true});
    generate(late, std::vector{requests[0]});
    most_of_mtp = 0;
    REQUIRE(late.use_mtp({.chunk_tokens = 8, .on_progress = largest(most_of_mtp)}).has_value());
    CHECK(bits(generate(late, std::vector{with[1]})[0][0]) == bits(expected[1][0]));
    CHECK(most_of_mtp == 8);
  }
}

// As many replies as a step has rows: none of them has room for a draft.
TEST_CASE("replies that never have a draft do not keep the states of all their tokens") {
  const auto& model = models_with_mtp().back();
  const auto D = static_cast<std::size_t>(model->config().hidden_size);
  const auto drafter = moe::generate::ModelDrafter::create_mtp(*model, {.chunk_tokens = 8});
  REQUIRE(drafter.has_value());
  moe::generate::Drafts drafts(*model, {.mtp = drafter->get()});
  Generator plain = create(model);
  const Ids prompt = {5, 6, 7};
  GenerateOptions options = greedy(60);
  const Ids text = joined(prompt, generate(plain, prompt, options).tokens), next(text.begin() + 1, text.end());
  const auto run = run_mtp(model, {}, std::span(text).first(next.size()), next, next.size());
  options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
  drafts.add(0, options, prompt);
  drafts.see(0, 0, std::span(run.states).first(3 * D));
  auto reply = moe::generate::Reply::create(nullptr, options, 60, 0, moe::generate::TextStart::goes_on);
  REQUIRE(reply.has_value());
  const auto propose = [&](std::int64_t most) {
    moe::batch::ReplyDraft draft{.request = 0, .most = most};
    drafts.propose(std::span(&draft, 1), [&](std::int32_t) -> const moe::generate::Reply& { return *reply; });
    return draft.tokens;
  };
  for (std::size_t written = 4; written < 50; ++written) {
    reply->result().tokens.assign(text.begin() + 3, text.begin() + static_cast<std::ptrdiff_t>(written));
    CHECK(propose(0).empty());
    // It has run all but the tokens of a chunk, and the last one.
    const std::int64_t ran = (*drafter)->session().executed().tokens;
    CHECK(ran >= static_cast<std::int64_t>(written) - 2 - 8);
    CHECK(ran <= static_cast<std::int64_t>(written) - 2);
    drafts.see(0, static_cast<std::int64_t>(written) - 1, std::span(run.states).subspan((written - 1) * D, D));
  }
  reply->result().tokens.assign(text.begin() + 3, text.begin() + 50);
  CHECK(propose(2) == draft_behind(model, run.states, text, 50, 2));
}

TEST_CASE("an MTP layer without room drafts less, and the reply is the same") {
  const auto& model = models_with_mtp().back();
  Generator plain = create(model);
  const std::vector<GenerateRequest> requests = {
      {Ids(40, 4), greedy(60)}, {Ids(90, 5), greedy(60)}, {Ids{1}, greedy(60)}};
  const auto expected = generate(plain, requests);
  auto with = requests;
  for (GenerateRequest& r : with) r.options.draft = {.kind = DraftKind::mtp, .tokens = 2, .length = DraftLength::fixed};
  std::int64_t drafted = 0;
  for (const std::int64_t room : {64, 128, 512}) {
    Generator generator = create(model, {.record_states = true});
    REQUIRE(generator.use_mtp({.max_tokens = room}).has_value());
    const auto got = generate(generator, with);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(bits(got[i][0]) == bits(expected[i][0]));
    CHECK(totals_of(got).flops == executed(generator));
    CHECK(totals_of(got).report.drafted >= drafted);
    drafted = totals_of(got).report.drafted;
  }
  CHECK(drafted > 60);
}

TEST_CASE("an MTP layer that is not there, or knows no states, is refused") {
  const auto refused = [](Generator& generator) {
    const auto used = generator.use_mtp();
    REQUIRE_FALSE(used.has_value());
    CHECK(used.error().code == moe::ErrorCode::bad_argument);
    CHECK(generator.mtp_session() == nullptr);
    return used.error().message;
  };
  Generator without = create(padded(), {.record_states = true}), blind = create(models_with_mtp().back());
  CHECK(refused(without).find("expected it with LoadOptions::mtp") != std::string::npos);
  CHECK(refused(blind).find("expected SessionOptions::record_states") != std::string::npos);
  GenerateOptions options = greedy(4);
  options.draft.kind = DraftKind::mtp;
  const auto reply = blind.generate(Ids{1, 2}, options);
  REQUIRE_FALSE(reply.has_value());
  CHECK(reply.error().message.find("Generator::use_mtp") != std::string::npos);
}

}  // namespace mtp_drafts_test

// Generator: a reply has the same bits alone, in a batch, after a reused prefix, in a small cache, and on any
// number of threads; what is reused and what it cost is counted exactly.

#include <random>
#include <set>
#include <stdexcept>

#include "generate/seeds.hpp"
#include "generator_support.hpp"
#include "golden/golden.hpp"

namespace generator_test {

using namespace moe_test;

namespace {

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
    const Ids own = random_ids(random, 1 + random() % 9, vocabulary);
    Ids prompt = moe_test::branch_of(random, trunk, own);
    out.push_back({std::move(prompt), moe_test::random_options(random, 30)});
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
    std::int64_t reused_in_small_caches = 0;
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
        // Prompts that differ in one token leave what must not be taken for the others'.
        auto similar = requests;
        for (GenerateRequest& r : similar) {
          Ids& ids = std::get<Ids>(r.prompt);
          TokenId& changed = ids[random() % ids.size()];
          changed = changed == 0 ? 1 : changed - 1;
        }
        generate(generator, similar);
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
          if (pass == 0) continue;
          // A small cache may have given every prefix away before its request comes again.
          if (size.cache == 4096)
            CHECK(cost_of(got).reused > 0);
          else
            reused_in_small_caches += cost_of(got).reused;
        }
        generator.forget();
        CHECK(generator.session().free_tokens() == size.cache);
      }
    }
    CHECK(reused_in_small_caches > 0);
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

TEST_CASE("a chat is written by its template; the second turn goes on behind the first") {
  Generator generator = create(nano());
  moe::Chat chat;
  chat.options.template_text = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] ";
  chat.messages = {{"user", "Who is the author?"}};
  GenerateOptions options;
  options.max_tokens = 8;
  const auto same_as_ids = [&](const Generation& got) {
    const auto rendered = moe::encode_chat(*nano(), chat);
    REQUIRE_MESSAGE(rendered.has_value(), rendered.error().message);
    CHECK(got.prompt_tokens == static_cast<std::int64_t>(rendered->ids.size()));
    Generator fresh = create(nano());
    CHECK(bits(generate(fresh, rendered->ids, options)) == bits(got));
  };
  const Generation one = generate(generator, chat, options);
  CHECK(one.reused_tokens == 0);
  same_as_ids(one);
  chat.messages.push_back({"assistant", one.text});
  chat.messages.push_back({"user", "And the second one?"});
  const Generation two = generate(generator, chat, options);
  CHECK(two.reused_tokens >= one.prompt_tokens);
  CHECK(two.prompt_tokens > one.prompt_tokens + 8);
  same_as_ids(two);

  chat.options.template_text = "{{ raise_exception('no such role') }}";
  const auto refused = generator.generate(chat, options);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("no such role") != std::string::npos);
}

TEST_CASE("conversations that take turns keep their prefixes, until one needs the room of the other") {
  Generator tight = create(padded(), {.max_tokens = 256});  // four pages; each conversation takes two
  GenerateOptions options;
  options.max_tokens = 4;
  const Ids a(70, 5), b(70, 6), c(70, 7);
  generate(tight, a, options), generate(tight, b, options);
  for (int turn = 0; turn < 3; ++turn) {
    CHECK(generate(tight, a, options).reused_tokens == 69);
    CHECK(generate(tight, b, options).reused_tokens == 69);
  }
  Generator generator = create(padded(), {.max_tokens = 320});
  const auto reused = [&](const Ids& prompt) { return generate(generator, prompt, options).reused_tokens; };
  CHECK(reused(a) == 0);
  CHECK(reused(b) == 0);
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

TEST_CASE("requests with neighbouring seeds share no seed of a reply") {
  std::set<std::uint64_t> seeds;
  for (std::uint64_t seed = 0; seed < 64; ++seed)
    for (std::uint64_t reply = 0; reply < 64; ++reply) seeds.insert(moe::generate::seed_of_reply(seed, reply));
  CHECK(seeds.size() == 64 * 64);
}

#ifndef MOE_NO_EXCEPTIONS  // nothing may be thrown through a library that is compiled without them
TEST_CASE("a callback that throws leaves a generator that can be used") {
  Generator generator = create(padded());
  const Ids prompt = {9, 8, 7};
  GenerateOptions options;
  options.max_tokens = 10;
  const Generation expected = generate(generator, prompt, options);
  options.on_piece = [](const moe::Piece&) { throw std::runtime_error("no more"); };
  CHECK_THROWS(static_cast<void>(generator.generate(prompt, options)));
  options.on_piece = nullptr;
  // The session asks the generator whether it is cancelled.
  moe::Session& session = generator.session();
  const auto sequence = session.open();
  REQUIRE(sequence.has_value());
  CHECK(session.step(*sequence, prompt).has_value());
  REQUIRE(session.close(*sequence).has_value());
  CHECK(bits(generate(generator, prompt, options)) == bits(expected));
}
#endif

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

}  // namespace generator_test

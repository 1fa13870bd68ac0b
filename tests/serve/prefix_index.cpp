// The radix tree against a list of what was put into it.

#include "serve/prefix_index.hpp"

#include <random>

#include "serve_support.hpp"

using moe::serve::PrefixIndex;
using moe::serve::TokenScore;
using namespace moe_test;

namespace {

using Ids = std::vector<TokenId>;

/// A score says which tokens stand before it.
TokenScore score_at(const Ids& tokens, std::size_t i) {
  std::uint64_t hash = 0;
  for (std::size_t k = 0; k <= i; ++k) hash = FakeModel::next(hash, tokens[k]);
  return {static_cast<double>(hash), static_cast<double>(hash) + 1.0, static_cast<TokenId>(hash % 1000)};
}

struct Trial {
  explicit Trial(std::int64_t limit) : engine({}, 60), index(engine, limit) {}

  moe::Sequence sequence(const Ids& tokens) {
    const auto match = static_cast<std::size_t>(index.match("", tokens));
    const auto begin = std::span(tokens).first(match);
    const auto made = match > 0 ? index.fork("", begin) : engine.open();
    REQUIRE(made.has_value());
    const moe::BatchItem item{*made, std::span(tokens).subspan(match)};
    if (match < tokens.size()) REQUIRE(engine.step(std::span(&item, 1)).has_value());
    return *made;
  }
  void insert(const Ids& tokens, std::size_t scored) {
    std::vector<TokenScore> scores(scored > 0 ? 1 : 0);
    for (std::size_t i = 1; i < scored; ++i) scores.push_back(score_at(tokens, i));
    const moe::Sequence s = sequence(tokens);
    index.insert("", s, tokens, scores);
    kept[s] = tokens;
    scored_of[s] = scored;
  }
  void check(const Ids& asked) {
    std::int64_t most = 0;
    for (const moe::Sequence s : index.leaves()) {
      CHECK(index.scores("", kept.at(s), 1).size() + 1 >= scored_of.at(s));
      most = std::max<std::int64_t>(
          most, std::mismatch(asked.begin(), asked.end(), kept.at(s).begin(), kept.at(s).end()).first - asked.begin());
    }
    CHECK(index.match("", asked) == most);
    CHECK(index.match("other", asked) == 0);
    const auto found = index.scores("", asked, 1);
    CHECK(static_cast<std::int64_t>(found.size()) <= std::max<std::int64_t>(most - 1, 0));
    for (std::size_t i = 0; i < found.size(); ++i) {
      const TokenScore expected = score_at(asked, i + 1);
      CHECK(found[i].log_probability == expected.log_probability);
      CHECK(found[i].best_log_probability == expected.best_log_probability);
      CHECK(found[i].best == expected.best);
    }
    CHECK(engine.open_sequences().size() == index.leaf_count());
    CHECK(engine.pages_add_up());
    CHECK(engine.misuses == 0);
  }

  FakeEngine engine;
  PrefixIndex index;
  std::map<moe::Sequence, Ids> kept;  // by the latest use of a number
  std::map<moe::Sequence, std::size_t> scored_of;
};

}  // namespace

TEST_CASE("matches, scores and leaves are those of a list") {
  std::mt19937 random(5);
  for (const std::int64_t limit : {128, 640, 2560}) {
    Trial trial(limit);
    const auto some = [&] {
      Ids ids(1 + random() % 130);
      for (TokenId& id : ids) id = random() % 12 == 0 ? 1 : 0;
      return ids;
    };
    for (int round = 0; round < 1500; ++round) {
      const Ids tokens = some();
      const std::size_t scored = random() % 2 == 0 ? 0 : 1 + random() % tokens.size();
      trial.insert(tokens, scored);
      CHECK(trial.index.tokens_held() <= limit);
      if (limit > 128) {
        CHECK(trial.index.match("", tokens) == static_cast<std::int64_t>(tokens.size()));
        CHECK(trial.index.scores("", tokens, 1).size() + 1 >= scored);
      }
      trial.check(tokens);
      trial.check(some());
      if (random() % 8 == 0) trial.index.evict_one();
    }
    trial.index.clear();
    CHECK(trial.engine.free_tokens() == trial.engine.cache_tokens());
  }
}

TEST_CASE("the leaf that was used least recently goes first, and what begins like a longer one at once") {
  Trial trial(2560);
  const Ids a{1, 2, 3}, b{1, 2, 4}, c{5};
  for (const Ids& ids : {a, b, c}) trial.insert(ids, 0);
  CHECK(trial.index.leaf_count() == 3);
  CHECK(trial.engine.close(*trial.index.fork("", a)).has_value());
  trial.index.evict_one();
  CHECK(trial.index.match("", b) == 2);
  CHECK(trial.index.match("", a) == 3);
  trial.insert({1, 2, 3, 7, 8}, 0);
  CHECK(trial.index.leaf_count() == 2);
  trial.insert({1, 2}, 0);
  CHECK(trial.index.leaf_count() == 2);
  const auto again = trial.engine.open();
  trial.index.insert("", *again, c, {});  // it is there, and now used
  CHECK(trial.index.leaf_count() == 2);
  trial.index.evict_one();
  CHECK(trial.index.match("", c) == 1);
  CHECK(trial.index.match("", Ids{1, 2, 3, 7, 8, 9}) == 0);
}

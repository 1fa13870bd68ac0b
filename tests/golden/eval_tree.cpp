// The prefix tree in the smallest cache that its plan allows: random trees always finish, in steps of any size, and
// give the bits of a run that shares nothing. A smaller cache is one error before the first step.

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "batch/tree_walk.hpp"
#include "eval/run/reply_run.hpp"
#include "eval/run/score_run.hpp"
#include "moe/model.hpp"
#include "scratch_dir.hpp"

namespace eval_tree_test {

namespace fs = std::filesystem;
using namespace moe::batch;
using namespace moe::eval;

namespace {

using Tokens = std::vector<moe::TokenId>;
constexpr std::int64_t kContext = 2048;

/// A small model with room for deep trees: nothing of it depends on the longest position.
std::shared_ptr<const moe::Model> load(const std::string& name) {
  const fs::path from = fs::path(MOE_SOURCE_DIR) / "tests/data" / name;
  const moe_test::ScratchDir copy("moe_eval_tree");
  for (const char* file : {"model.safetensors", "tokenizer.json", "tokenizer_config.json"})
    if (fs::exists(from / file)) fs::copy_file(from / file, copy.dir / file);
  auto config = nlohmann::json::parse(moe_test::read_file(from / "config.json"));
  config["max_position_embeddings"] = kContext;
  copy.write("config.json", config.dump());
  const auto model = moe::Model::load(copy.dir.string(), {.tokenizer = moe::TokenizerUse::optional});
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

class Trees {
 public:
  Trees(std::uint32_t seed, std::int64_t vocab_size) : random_(seed), vocab_size_(vocab_size) {}

  std::int64_t up_to(std::int64_t most) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint32_t>(most + 1));
  }
  moe::TokenId token() { return static_cast<moe::TokenId>(up_to(vocab_size_ - 1)); }

  /// Sequences that share beginnings, about `count`, in no order and some of them twice.
  std::vector<Tokens> texts(std::size_t count) {
    std::vector<Tokens> out;
    // A trunk that others leave at any depth, each of them a trunk for more.
    const bool is_wide = up_to(3) == 0;  // few long stretches instead of many short ones
    const std::int64_t depth = 1 + up_to(is_wide ? 6 : 59), stride = 1 + up_to(is_wide ? 140 : 12);
    Tokens trunk = tail(up_to(1) * up_to(130));
    for (std::int64_t d = 0; d < depth; ++d) {
      append(trunk, tail(1 + up_to(stride)));
      out.push_back(trunk);
      append(out.back(), tail(up_to(3)));
    }
    while (out.size() < count) {
      Tokens text = out[random_() % out.size()];
      text.resize(static_cast<std::size_t>(cut(static_cast<std::int64_t>(text.size()))));
      append(text, tail(1 + up_to(up_to(is_wide ? 2 : 9) == 0 ? 90 : 5)));
      out.push_back(std::move(text));
    }
    for (Tokens& text : out) {
      if (text.size() > kContext / 2) text.resize(kContext / 2);
      if (text.empty()) text = tail(1);
    }
    return out;
  }

 private:
  // Often at the border of a page, or beside it.
  std::int64_t cut(std::int64_t length) {
    const std::int64_t page = up_to(length / moe::kPageTokens) * moe::kPageTokens;
    return up_to(1) == 0 ? up_to(length) : std::clamp<std::int64_t>(page - 1 + up_to(2), 0, length);
  }
  Tokens tail(std::int64_t count) {
    Tokens out;
    for (std::int64_t i = 0; i < count; ++i) out.push_back(token());
    return out;
  }
  static void append(Tokens& to, const Tokens& what) { to.insert(to.end(), what.begin(), what.end()); }

  std::mt19937 random_;
  std::int64_t vocab_size_;
};

std::unique_ptr<moe::Session> session_of(const std::shared_ptr<const moe::Model>& model, std::int64_t pages) {
  auto session = moe::Session::create(model, {.max_tokens = pages * moe::kPageTokens});
  REQUIRE_MESSAGE(session.has_value(), session.error().message);
  return std::move(*session);
}

// For any tree, at most log2 of the number of passes branches wait.
void check_least(const TreePlan& plan) {
  std::int64_t longest = 1;
  for (const PrefixNode& node : plan.nodes) longest = std::max(longest, pages_of(node.end));
  std::int64_t ends = static_cast<std::int64_t>(plan.passes.list.size());
  for (const PrefixNode& node : plan.nodes) ends += node.request >= 0;
  CHECK(plan.least_pages >= longest);
  CHECK(plan.least_pages < longest + std::bit_width(static_cast<std::uint64_t>(ends)));
  CHECK(plan.all_pages >= plan.least_pages);
}

void check_too_small(const moe::Result<void>& done, const TreePlan& plan, const moe::Session& session) {
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == moe::ErrorCode::out_of_memory);
  for (const std::int64_t pages : {plan.least_pages - 1, plan.least_pages})
    CHECK_MESSAGE(done.error().message.find(" " + std::to_string(pages * moe::kPageTokens)) != std::string::npos,
                  done.error().message);
  CHECK(session.executed().tokens == 0);
}

struct Size {
  std::int64_t batch_tokens, spare_pages;
};
constexpr Size kSizes[] = {{1, 0}, {7, 0}, {64, 0}, {512, 0}, {64, 1}, {512, 1}, {512, 5}, {512, 40}};

EncodedScores scores_of(const std::vector<Tokens>& texts, Trees& random) {
  EncodedScores encoded{Inputs(texts.size()), {}, std::vector<Score>(texts.size())};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    encoded.inputs.set(i, texts[i]);
    Tokens target(static_cast<std::size_t>(
        1 + random.up_to(std::min<std::int64_t>(static_cast<std::int64_t>(texts[i].size()) - 1, 4))));
    for (moe::TokenId& id : target) id = random.token();
    encoded.targets.push_back(std::move(target));
  }
  return encoded;
}

bool same(const Score& a, const Score& b) {
  return std::memcmp(&a.log_likelihood, &b.log_likelihood, sizeof a.log_likelihood) == 0 && a.failure == b.failure &&
         a.is_greedy == b.is_greedy;
}

void check_scores(const std::shared_ptr<const moe::Model>& model, std::uint32_t seed) {
  CAPTURE(seed);
  const std::int64_t vocab_size = model->config().vocab_size;
  Trees random(seed, vocab_size);
  const auto texts = random.texts(static_cast<std::size_t>(4 + random.up_to(60)));
  const EncodedScores encoded = scores_of(texts, random);

  const TreePlan alone = plan_scores(encoded, {.share_prefixes = false});
  CHECK(alone.least_pages == pages_of(alone.passes.longest));
  EncodedScores expected = encoded;
  REQUIRE(run_scores(*session_of(model, alone.all_pages), 512, alone, expected, {}).has_value());

  const TreePlan plan = plan_scores(encoded, {.share_prefixes = true});
  check_least(plan);
  const auto smaller = session_of(model, plan.least_pages - 1);
  EncodedScores none = encoded;
  if (plan.least_pages > 1) check_too_small(run_scores(*smaller, 512, plan, none, {}), plan, *smaller);
  const Size size = kSizes[seed % std::size(kSizes)];
  CAPTURE(size.batch_tokens);
  CAPTURE(size.spare_pages);
  const auto session = session_of(model, plan.least_pages + size.spare_pages);
  const std::int64_t room = session->free_tokens();
  EncodedScores got = encoded;
  std::vector<int> seen(texts.size(), 0);
  Hooks hooks;
  hooks.on_score = [&](std::int64_t request, const Score&) { ++seen[static_cast<std::size_t>(request)]; };
  const auto done = run_scores(*session, size.batch_tokens, plan, got, hooks);
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  CHECK(std::count(seen.begin(), seen.end(), 1) == static_cast<std::ptrdiff_t>(texts.size()));
  CHECK(std::equal(got.scores.begin(), got.scores.end(), expected.scores.begin(), same));
  CHECK(session->free_tokens() == room);
  // Nothing was computed twice.
  std::int64_t tokens = 0;
  for (const PrefixNode& node : plan.nodes) tokens += node.token_count();
  CHECK(session->executed().tokens == tokens);
}

void check_replies(const std::shared_ptr<const moe::Model>& model, std::uint32_t seed) {
  CAPTURE(seed);
  const std::int64_t vocab_size = model->config().vocab_size;
  Trees random(seed, vocab_size);
  const auto texts = random.texts(static_cast<std::size_t>(4 + random.up_to(20)));
  std::vector<GenerateRequest> requests(texts.size());
  const std::vector<std::string> stop = {"e"};
  EncodedContexts encoded{Inputs(texts.size()), std::vector<Generation>(texts.size())};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    encoded.inputs.set_own(i, texts[i]);
    requests[i].max_tokens = 1 + random.up_to(random.up_to(3) == 0 ? 140 : 12);
    if (random.up_to(2) == 0) requests[i].stop = stop;
  }
  const TreePlan alone = plan_replies(encoded, requests, {.share_prefixes = false});
  EncodedContexts expected = encoded;
  REQUIRE(run_replies(*session_of(model, alone.all_pages), 512, alone, requests, expected, {}).has_value());

  const TreePlan plan = plan_replies(encoded, requests, {.share_prefixes = true});
  check_least(plan);
  const auto smaller = session_of(model, plan.least_pages - 1);
  EncodedContexts none = encoded;
  if (plan.least_pages > 1) check_too_small(run_replies(*smaller, 512, plan, requests, none, {}), plan, *smaller);
  const Size size = kSizes[seed % std::size(kSizes)];
  CAPTURE(size.batch_tokens);
  CAPTURE(size.spare_pages);
  const auto session = session_of(model, plan.least_pages + size.spare_pages);
  const std::int64_t room = session->free_tokens();
  EncodedContexts got = encoded;
  const auto done = run_replies(*session, size.batch_tokens, plan, requests, got, {});
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  CHECK(session->free_tokens() == room);
  std::int64_t tokens = 0;
  for (const PrefixNode& node : plan.nodes) tokens += node.request >= 0 ? 0 : node.token_count();
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Generation &a = got.replies[i], &b = expected.replies[i];
    CAPTURE(i);
    CHECK((a.text == b.text && a.finished == b.finished && a.generated_tokens == b.generated_tokens &&
           a.failure == b.failure && a.pass_tokens == b.pass_tokens));
    tokens += a.generated_tokens - 1;
  }
  CHECK(session->executed().tokens == tokens);
}

// The walk knows what the cache holds, and after every step, of whatever size, the rest can be computed.
void check_walk(const std::shared_ptr<const moe::Model>& model, std::uint32_t seed) {
  CAPTURE(seed);
  const std::int64_t vocab_size = model->config().vocab_size;
  Trees random(seed, vocab_size);
  const auto texts = random.texts(static_cast<std::size_t>(4 + random.up_to(60)));
  const EncodedScores encoded = scores_of(texts, random);
  const TreePlan plan = plan_scores(encoded, {.share_prefixes = true});
  const auto session = session_of(model, plan.least_pages + random.up_to(random.up_to(20)));
  const std::int64_t room = session->free_tokens();
  TreeWalk walk(*session, plan);
  REQUIRE(walk.check_room().has_value());
  for (std::int64_t steps = 0; !walk.is_done(); ++steps) {
    CAPTURE(steps);
    const TreeStep step = walk.plan({.nodes = static_cast<std::size_t>(1 + random.up_to(30)),
                                     .tokens = 1 + random.up_to(300),
                                     .rows = 1 + random.up_to(300)});
    REQUIRE(!step.empty());
    std::vector<moe::BatchItem> items;
    REQUIRE(walk.open(step, items).has_value());
    if (random.up_to(7) == 0) {  // as if the step had failed
      walk.abandon(step, items);
      CHECK(room - session->free_tokens() == walk.held_pages() * moe::kPageTokens);
      continue;
    }
    const auto output = session->step(items);
    REQUIRE_MESSAGE(output.has_value(), output.error().message);
    walk.finish(step, items);
    CHECK(room - session->free_tokens() == walk.held_pages() * moe::kPageTokens);
    CHECK(walk.can_finish());
  }
  CHECK(session->free_tokens() == room);
}

void check_all(std::uint32_t rounds) {
  // Grouped-query attention, a sliding window, and a compressed cache: all of them keep whole pages.
  for (const char* name : {"golden/qwen3_moe", "shapes/mixtral_window", "golden/deepseek_v3_yarn"}) {
    CAPTURE(std::string(name));
    const auto model = load(name);
    for (std::uint32_t seed = 0; seed < rounds; ++seed) check_scores(model, seed);
    for (std::uint32_t seed = 0; seed < rounds; ++seed) check_walk(model, seed);
    if (model->tokenizer())
      for (std::uint32_t seed = 0; seed < rounds; ++seed) check_replies(model, seed);
  }
}

/// Texts whose rows need two slices of logits.
std::vector<Tokens> long_texts(Trees& random) {
  std::vector<Tokens> texts(3);
  for (Tokens& text : texts)
    while (text.size() < 1700) text.push_back(random.token());
  return texts;
}

}  // namespace

TEST_CASE("rows of logits are read in slices, with the bits of all at once") {
  const auto model = load("golden/qwen3_moe");
  const std::int64_t vocab_size = model->config().vocab_size;
  Trees random(1, vocab_size);
  const auto texts = long_texts(random);
  const moe::SessionOptions options = {.max_tokens = 6144, .chunk_tokens = 8192};
  const auto batch = [&](moe::Session& session) {
    std::vector<moe::BatchItem> items;
    for (const Tokens& text : texts) items.push_back({*session.open(), text, moe::Logits::all});
    return items;
  };
  const auto whole = *moe::Session::create(model, options), sliced = *moe::Session::create(model, options);
  const auto expected = whole->step(batch(*whole));
  REQUIRE_MESSAGE(expected.has_value(), expected.error().message);
  std::vector<float> got;
  int slices = 0;
  const auto items = batch(*sliced);
  const auto read = [&](std::int64_t first, std::span<const float> rows) -> moe::Result<void> {
    CHECK(first * vocab_size == static_cast<std::int64_t>(got.size()));
    got.insert(got.end(), rows.begin(), rows.end());
    ++slices;
    return {};
  };
  const auto output = sliced->step(items, read);
  REQUIRE_MESSAGE(output.has_value(), output.error().message);
  CHECK(output->logits == nullptr);
  CHECK(output->row_count == 5100);
  CHECK(slices == 2);
  REQUIRE(static_cast<std::int64_t>(got.size()) == expected->row_count * vocab_size);
  CHECK(std::memcmp(got.data(), expected->logits.get(), got.size() * sizeof(float)) == 0);
  CHECK(sliced->executed().total() == whole->executed().total());
}

TEST_CASE("a step scores as many tokens as it may have, however many rows that is") {
  const auto model = load("golden/qwen3_moe");
  Trees random(2, model->config().vocab_size);
  const auto texts = long_texts(random);
  EncodedScores encoded{Inputs(texts.size()), {}, std::vector<Score>(texts.size())};
  for (std::size_t i = 0; i < texts.size(); ++i) {
    encoded.inputs.set(i, texts[i]);
    encoded.targets.push_back(texts[i]);
  }
  const TreePlan plan = plan_scores(encoded, {});
  CHECK(plan.nodes.size() == texts.size());
  std::vector<Score> few;
  for (const std::int64_t tokens : {512, 8192}) {
    const auto session = session_of(model, plan.all_pages);
    EncodedScores got = encoded;
    int steps = 0;
    Hooks hooks;
    hooks.cancelled = [&] { return ++steps < 0; };
    REQUIRE(run_scores(*session, tokens, plan, got, hooks).has_value());
    if (tokens == 8192) CHECK(steps == 1);
    if (few.empty()) few = got.scores;
    CHECK(std::equal(got.scores.begin(), got.scores.end(), few.begin(), same));
  }
}

TEST_CASE("random trees finish in the smallest cache, with the bits of a run that shares nothing") { check_all(10); }

TEST_CASE("full: a thousand random trees" * doctest::skip()) { check_all(200); }

}  // namespace eval_tree_test

// LongRoPE in runs of many requests: a score or a reply does not depend on the requests beside it, nor on the room.

#include <random>

#include "batch/score_loop.hpp"
#include "golden/folder_writer.hpp"
#include "golden/generator_support.hpp"
#include "golden/golden.hpp"
#include "scratch_dir.hpp"

namespace long_rope_runs_test {

namespace {

using namespace moe_test;
using moe::batch::TreeLimits;

/// With that original context.
std::shared_ptr<const moe::Model> model(std::int64_t original) {
  const fs::path source = fs::path(MOE_SOURCE_DIR) / "tests/data/shapes/phi3_longrope";
  const ScratchDir scratch("moe_long_rope_runs");
  nlohmann::json config = read_config(source);
  config["original_max_position_embeddings"] = original;
  write_folder(scratch.dir / "model", config, read_safetensors(source / "model.safetensors"));
  auto loaded = moe::Model::load((scratch.dir / "model").string(), {.tokenizer = moe::TokenizerUse::none});
  REQUIRE_MESSAGE(loaded.has_value(), loaded.error().message);
  REQUIRE((*loaded)->config().rope.scaling == moe::RopeScaling::longrope);
  return *loaded;
}

struct Scores {
  std::vector<double> log_likelihoods;
  std::int64_t flops = 0;
};

/// Of the tokens of each text from its `first`-th on.
Scores scores_of(const std::shared_ptr<const moe::Model>& m, const std::vector<Ids>& texts, std::size_t first) {
  moe::batch::Inputs inputs(texts.size());
  std::vector<Ids> targets;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    inputs.set(i, Ids(texts[i].begin(), texts[i].end() - 1));
    targets.emplace_back(texts[i].begin() + static_cast<std::ptrdiff_t>(first), texts[i].end());
  }
  Scores out{std::vector<double>(texts.size(), 1.0), 0};
  moe::batch::ScoreJob job{inputs, targets, {}};
  job.on_score = [&](std::int32_t request, const moe::batch::TargetScore& score) {
    out.log_likelihoods[static_cast<std::size_t>(request)] = score.log_likelihood;
  };
  job.on_work = [&](std::int32_t, std::int64_t flops) { out.flops += flops; };
  const auto plan =
      moe::batch::plan_passes(moe::batch::collect_passes(job), {.long_rope = moe::batch::long_rope_of(m->config())});
  moe::SessionOptions options = reference_options();
  options.max_tokens = plan.least_pages * moe::kPageTokens;
  const auto session = open_session(m, options);
  const auto done = moe::batch::run_scores(*session, 512, plan, job);
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  CHECK(out.flops == session->executed().total());
  return out;
}

/// In one piece, as the reference computes a text.
double whole_score(const std::shared_ptr<const moe::Model>& m, const Ids& text, std::size_t first) {
  const auto session = open_session(m, reference_options());
  const auto logits = step(*session, *session->open(), std::span(text).first(text.size() - 1));
  const auto V = static_cast<std::size_t>(m->config().vocab_size);
  double sum = 0.0;
  for (std::size_t t = first; t < text.size(); ++t) {
    const std::span<const float> row = std::span(logits).subspan((t - 1) * V, V);
    double most = row[0], total = 0.0;
    for (const float x : row) most = std::max(most, double{x});
    for (const float x : row) total += std::exp(double{x} - most);
    sum += double{row[static_cast<std::size_t>(text[t])]} - most - std::log(total);
  }
  return sum;
}

}  // namespace

TEST_CASE("a text's score is that of its forward pass in one piece, whatever other texts share with it") {
  const auto m = model(23);
  std::mt19937 random(3);
  const auto token = [&] { return static_cast<TokenId>(random() % 300); };
  Ids trunk(60);
  for (TokenId& id : trunk) id = token();
  int shared = 0;
  for (int round = 0; round < 60; ++round) {
    const std::size_t first = 1 + random() % 4, count = 2 + random() % 3;
    std::vector<Ids> texts;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t length = 6 + random() % 50, same = std::min<std::size_t>(length - 1, random() % 40);
      Ids text(trunk.begin(), trunk.begin() + static_cast<std::ptrdiff_t>(same));
      while (text.size() < length) text.push_back(token());
      texts.push_back(std::move(text));
    }
    const Scores together = scores_of(m, texts, first);
    std::int64_t apart = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      CAPTURE(texts[i].size());
      const Scores alone = scores_of(m, {texts[i]}, first);
      CHECK(alone.log_likelihoods[0] == together.log_likelihoods[i]);
      CHECK(alone.log_likelihoods[0] == doctest::Approx(whole_score(m, texts[i], first)).epsilon(1e-5));
      apart += alone.flops;
    }
    shared += together.flops < apart ? 1 : 0;
  }
  CHECK(shared > 20);
}

TEST_CASE("replies that grow past the original context behind a prompt of all, in every cache that holds one") {
  const auto m = model(130);
  const Ids prompt(120, 7);
  Ids longer = prompt;
  longer.insert(longer.end(), 2, 9);
  GenerateOptions options;
  options.max_tokens = 30;
  options.end_tokens = moe::EndTokens::ignore;
  const auto reply_of = [&](std::int64_t pages, std::int64_t replies, bool both) {
    auto generator = Generator::create(m, {.max_tokens = pages * moe::kPageTokens});
    REQUIRE(generator.has_value());
    options.replies = replies;
    std::vector<GenerateRequest> requests = {{prompt, options}};
    if (both) requests.push_back({longer, options});
    auto out = generator->generate(requests);
    REQUIRE_MESSAGE(out.has_value(), out.error().message);
    std::vector<Ids> tokens;
    std::int64_t flops = 0;
    for (const auto& of_request : *out)
      for (const Generation& g : of_request) {
        REQUIRE_FALSE(g.error.has_value());
        CHECK(g.tokens.size() == 30);
        tokens.push_back(g.tokens);
        flops += g.flops;
      }
    CHECK(flops == generator->session().executed().total());
    return tokens;
  };
  const auto expected = reply_of(12, 1, true);
  for (std::int64_t pages = 3; pages <= 14; ++pages) {
    CAPTURE(pages);
    for (const std::int64_t replies : {1, 3})
      for (const bool both : {false, true}) {
        const auto found = reply_of(pages, replies, both);
        for (std::size_t i = 0; i < found.size(); ++i)
          CHECK(found[i] == expected[i / static_cast<std::size_t>(replies)]);
      }
  }
}

}  // namespace long_rope_runs_test

// An exam with worked examples on hybrids: shared beginnings are computed once, which recurrent layers allow only where
// there is a state to continue from, and the scores are those of passes that share nothing.

#include <regex>

#include "golden/exam.hpp"
#include "golden/golden.hpp"
#include "moe/eval/cost_model.hpp"
#include "scratch_dir.hpp"

namespace eval_hybrids_test {

namespace fs = std::filesystem;
using namespace moe::eval;
using moe_test::GoldenCase;

namespace {

/// With room for prompts of five worked examples, and a tokenizer of few tokens where the model has none; null: no hybrid.
std::shared_ptr<const moe::Model> load(const GoldenCase& c) {
  if (!fs::is_directory(c.model) || moe_test::is_later_family(c)) return nullptr;
  const auto plain = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
  if (!plain || (*plain)->config().mixers.empty()) return nullptr;
  if ((*plain)->config().vocab_size < 320) return nullptr;  // the tokenizer's
  const moe_test::ScratchDir copy("moe_eval_hybrids");
  fs::copy_file(c.model / "model.safetensors", copy.dir / "model.safetensors");
  fs::copy_file(fs::path(MOE_SOURCE_DIR) / "tests/data/golden/qwen3_moe/tokenizer.json", copy.dir / "tokenizer.json");
  // Not by a JSON library: Nemotron-H's has the word Infinity.
  const std::regex context("\"max_position_embeddings\": *[0-9]+");
  copy.write("config.json", std::regex_replace(moe_test::read_file(c.model / "config.json"), context,
                                               "\"max_position_embeddings\": 2048"));
  const auto model = moe::Model::load(copy.dir.string());
  REQUIRE_MESSAGE(model.has_value(), model.error().message);
  return *model;
}

PreparedTask exam() {
  auto spec = load_task(std::string(MOE_SOURCE_DIR) + "/models/nano/nano_exam.jsonl");
  REQUIRE_MESSAGE(spec.has_value(), spec.error().message);
  auto task = prepare(*spec, {.num_fewshot = 5, .limit = 4});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  return std::move(*task);
}

struct Answers {
  std::vector<double> scores;
  moe::Work work;
};

Answers answer(const PreparedTask& task, const std::shared_ptr<const moe::Model>& model,
               const SessionModelOptions& options) {
  const auto scorer = SessionModel::create(model, options);
  REQUIRE_MESSAGE(scorer.has_value(), scorer.error().message);
  const auto outcome = evaluate(task, **scorer, {.bootstrap_count = 0, .threads = {}, .hooks = {}});
  REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
  Answers out;
  out.work = (*scorer)->executed();
  for (const auto& subtask : outcome->documents)
    for (const auto& document : subtask)
      for (const Score& score : document.scores) out.scores.push_back(score.log_likelihood);
  return out;
}

// Of many prompts at a time, some of which begin alike.
std::vector<std::string> replies(const std::shared_ptr<const moe::Model>& model, std::int64_t state_bytes) {
  const auto writer = SessionModel::create(model, {.state_bytes = state_bytes});
  REQUIRE_MESSAGE(writer.has_value(), writer.error().message);
  std::vector<std::string> prompts;
  for (int i = 0; i < 12; ++i) prompts.push_back((i < 6 ? "One begins as " : "Others do ") + std::to_string(i * i));
  std::vector<GenerateRequest> requests;
  for (const std::string& prompt : prompts) requests.push_back({.context = prompt, .max_tokens = 5});
  const auto generated = (*writer)->generate(requests);
  REQUIRE_MESSAGE(generated.has_value(), generated.error().message);
  std::vector<std::string> out;
  for (const Generation& g : *generated) out.push_back(g.text);
  MESSAGE((*writer)->executed().tokens << " tokens computed with state_bytes " << state_bytes);
  return out;
}

}  // namespace

TEST_CASE("hybrids: a few-shot exam computes at most a fourth of its tokens, with the same scores") {
  const PreparedTask task = exam();
  auto cases = moe_test::golden_cases();
  for (GoldenCase& c : moe_test::golden_cases_in(fs::path(MOE_SOURCE_DIR) / "tests/data/shapes"))
    cases.push_back(std::move(c));
  int checked = 0;
  for (const GoldenCase& c : cases) {
    const auto model = load(c);
    if (model == nullptr) continue;
    CAPTURE(c.name);
    const Answers apart = answer(task, model, {.share_prefixes = false}), shared = answer(task, model, {});
    CHECK(shared.scores == apart.scores);
    CHECK(shared.work.tokens * 4 <= apart.work.tokens);
    // Room for four states, the least there may be: steps of few sequences, so that none is dropped that is needed.
    const Answers tight = answer(task, model, {.state_bytes = 1});
    CHECK(tight.scores == apart.scores);
    CHECK(tight.work.tokens == shared.work.tokens);
    CHECK(replies(model, 1) == replies(model, 0));
    // What is computed again behind a branch is among the tokens; here every branch has a state.
    CostModel plan(model->config(), model->tokenizer());
    REQUIRE(evaluate(task, plan, {.bootstrap_count = 0, .threads = {}, .hooks = {}}).has_value());
    CHECK(plan.cost().computed_tokens == shared.work.tokens);
    CHECK(plan.cost().flops == shared.work.total());
    MESSAGE(c.name << ": " << shared.work.tokens << " of " << apart.work.tokens << " tokens computed");
    ++checked;
  }
  CHECK(checked > 0);
}

}  // namespace eval_hybrids_test

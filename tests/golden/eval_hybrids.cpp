// An exam with worked examples on hybrids: shared beginnings are computed once, which recurrent layers allow only where
// there is a state to continue from, and the scores are those of passes that share nothing.

#include <algorithm>
#include <regex>

#include "batch/reply_loop.hpp"
#include "batch/score_loop.hpp"
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

using Tokens = std::vector<moe::TokenId>;

/// Texts that part in two after every fifth token, so that five branches wait: one more than the fewest states.
std::vector<Tokens> parting_texts() {
  std::vector<Tokens> texts(1);
  for (moe::TokenId level = 0; level < 6; ++level) {
    std::vector<Tokens> longer;
    for (const Tokens& text : texts)
      for (const moe::TokenId branch : {1, 2}) {
        longer.push_back(text);
        for (moe::TokenId i = 0; i < 5; ++i) longer.back().push_back(10 * branch + level + i);
      }
    texts = std::move(longer);
  }
  return texts;
}

/// What a run counted: experts by request, FLOPs that requests were told, and all that was executed.
struct Counts {
  std::vector<std::int64_t> experts = std::vector<std::int64_t>(64, -1);
  std::int64_t flops = 0;
  moe::Work work;
};

std::unique_ptr<moe::Session> session_for(const std::shared_ptr<const moe::Model>& model,
                                          const moe::batch::TreePlan& plan, std::int64_t state_bytes) {
  moe::SessionOptions options;
  options.max_tokens = plan.all_pages * moe::kPageTokens;
  options.state_bytes = state_bytes;
  return moe_test::open_session(model, options);
}

moe::batch::Inputs inputs_of(const std::vector<Tokens>& texts) {
  moe::batch::Inputs inputs(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) inputs.set(i, texts[i]);
  return inputs;
}

Counts of_scores(const std::shared_ptr<const moe::Model>& model, const moe::batch::TreeLimits& limits,
                 std::int64_t state_bytes) {
  const auto inputs = inputs_of(parting_texts());
  const std::vector<Tokens> targets(inputs.size(), Tokens{3});
  Counts out;
  moe::batch::ScoreJob job{inputs, targets, {}};
  job.on_score = [&](std::int32_t request, const moe::batch::TargetScore& score) {
    out.experts[static_cast<std::size_t>(request)] = score.expert_count;
  };
  job.on_work = [&](std::int32_t, std::int64_t flops) { out.flops += flops; };
  const auto plan = moe::batch::plan_passes(moe::batch::collect_passes(job), limits);
  const auto session = session_for(model, plan, state_bytes);
  const auto done = moe::batch::run_scores(*session, 512, plan, job);
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  out.work = session->executed();
  return out;
}

/// Four tokens, of which the last is not run.
class CountedReplies final : public moe::batch::ReplyWriter {
 public:
  explicit CountedReplies(Counts& counts) : counts_(counts), taken_(counts.experts.size(), 0) {}
  moe::Result<std::optional<moe::TokenId>> take(std::int32_t request, std::span<const float> row,
                                                std::size_t /*known*/) override {
    if (++taken_[static_cast<std::size_t>(request)] == 4) return std::optional<moe::TokenId>();
    return std::optional(static_cast<moe::TokenId>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  void give_up(std::int32_t /*request*/, const moe::Error& why) override { FAIL(why.message); }
  void on_experts(std::int32_t request, std::int64_t count) override {
    counts_.experts[static_cast<std::size_t>(request)] = count;
  }
  void on_work(std::int32_t /*request*/, std::int64_t flops) override { counts_.flops += flops; }

 private:
  Counts& counts_;
  std::vector<int> taken_;
};

Counts of_replies(const std::shared_ptr<const moe::Model>& model, const moe::batch::TreeLimits& limits,
                  std::int64_t state_bytes) {
  const auto inputs = inputs_of(parting_texts());
  const std::vector<std::int64_t> most(inputs.size(), 4);
  const auto plan = moe::batch::plan_replies(moe::batch::collect_prompts(inputs), most, limits);
  const auto session = session_for(model, plan, state_bytes);
  Counts out;
  CountedReplies writer(out);
  const auto done = moe::batch::ReplyLoop(*session, 512, plan, writer).run();
  REQUIRE_MESSAGE(done.has_value(), done.error().message);
  out.work = session->executed();
  return out;
}

/// As it is, and with numbers of experts that differ from token to token; empty: no hybrid with experts.
std::vector<std::shared_ptr<const moe::Model>> with_experts(const GoldenCase& c) {
  const auto model = moe::Model::load(c.model.string(), {.tokenizer = moe::TokenizerUse::none});
  if (!model || (*model)->config().moe_layer_count() == 0) return {};
  bool is_hybrid = false;
  for (std::int64_t l = 0; l < (*model)->config().layer_count; ++l) is_hybrid |= (*model)->config().is_recurrent(l);
  if (!is_hybrid) return {};
  const auto fewer = (*model)->with_experts({.expert_mass = 0.6});
  REQUIRE_MESSAGE(fewer.has_value(), fewer.error().message);
  return {*model, *fewer};
}

}  // namespace

TEST_CASE("hybrids: experts of tokens that are computed again count as work, not once more for their requests") {
  auto cases = moe_test::golden_cases();
  for (GoldenCase& c : moe_test::golden_cases_in(fs::path(MOE_SOURCE_DIR) / "tests/data/shapes"))
    cases.push_back(std::move(c));
  int checked = 0;
  for (const GoldenCase& c : cases)
    for (const auto& model : with_experts(c)) {
      CAPTURE(c.name);
      for (const auto& counts : {of_scores, of_replies}) {
        const Counts apart = counts(model, {.share_prefixes = false}, 0), shared = counts(model, {}, 0),
                     tight = counts(model, {}, 1);  // 1: as few states as there may be
        CHECK(shared.work.tokens < apart.work.tokens);
        CHECK(tight.work.tokens > shared.work.tokens);  // states were dropped
        CHECK(shared.experts == apart.experts);
        CHECK(tight.experts == apart.experts);
        for (const Counts* run : {&apart, &shared, &tight}) CHECK(run->flops == run->work.total());
        ++checked;
      }
    }
  CHECK(checked > 0);
}

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

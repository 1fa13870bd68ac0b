// The prompts of all of MMLU with five examples: how long they take to build and encode, and what sharing saves.

#include <ctime>

#include "batch/score_loop.hpp"
#include "checkpoint/checkpoint.hpp"
#include "eval/run/request_plan.hpp"
#include "moe/eval/prompt.hpp"
#include "support.hpp"

namespace eval_prompts_test {

using namespace moe::batch;
using namespace moe::eval;

TEST_CASE("MMLU, 5 shots: built and encoded in seconds, a quarter of the tokens computed") {
  const auto data = moe_test::reference_dir("MOE_DATA_DIR", "../shared/data");
  const auto models = moe_test::reference_dir("MOE_MODEL_DIR", "models/real");
  if (data.empty() || models.empty())
    return moe_test::report_skip("MMLU prompts", "questions or model files not there");
  const auto processor_seconds = [] { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; };
  double start = processor_seconds();
  const auto task = prepare(*load_task("mmlu"), {.data_dir = data.string(), .num_fewshot = 5});
  REQUIRE_MESSAGE(task.has_value(), task.error().message);
  const double built = processor_seconds() - start;
  std::vector<ScoreRequest> requests;
  for (const Subtask& subtask : task->subtasks)
    for (const Document& document : subtask.documents)
      for (std::size_t i = 0; i < document.continuations.size(); ++i)
        requests.push_back({document.context_of(i), document.continuations[i], document.question.id});
  std::size_t measured = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models)) {
    if (entry.path().extension() != ".gguf") continue;
    ++measured;
    const auto file = moe::checkpoint::open(entry.path().string());
    REQUIRE(file.has_value());
    const auto tokenizer = (*file)->load_tokenizer();
    REQUIRE(tokenizer.has_value());
    start = processor_seconds();
    const auto encoded = encode_scores(**tokenizer, requests, 4096, moe::openmp_pool(), {});
    REQUIRE_MESSAGE(encoded.has_value(), encoded.error().message);
    const double encoding = processor_seconds() - start;
    start = processor_seconds();
    const Passes passes = collect_passes({encoded->inputs, encoded->targets, {}});
    std::int64_t computed = 0;
    for (const PrefixNode& node : build_prefix_tree(passes.list, true, 512)) computed += node.token_count();
    const double planning = processor_seconds() - start;
    const double saved = static_cast<double>(passes.tokens) / static_cast<double>(computed);
    MESSAGE(entry.path().filename().string()
            << ": " << task->question_count() << " questions, processor seconds: built " << built << ", encoded "
            << encoding << ", planned " << planning << "; " << passes.tokens << " tokens in one pass per question, "
            << computed << " computed: " << saved << " times fewer");
    CHECK(saved >= 4);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__)
    CHECK(built + encoding < 5);
#endif
  }
  moe_test::check_any_case(measured, "MOE_MODEL_DIR", ".gguf files");
}

}  // namespace eval_prompts_test

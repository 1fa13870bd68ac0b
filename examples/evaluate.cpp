// Evaluates a model inside an application: accuracy with standard error, and compute.
//   evaluate MODEL EXAM.jsonl        one JSON object per line: question, choices, answer (index of the right choice)

#include <cstdio>
#include <string>

#include "moe/eval/evaluate.hpp"
#include "moe/eval/session_model.hpp"
#include "moe/eval/statistics.hpp"
#include "moe/moe.hpp"

namespace {

moe::Result<void> run(const std::string& model_path, const std::string& exam_path) {
  moe::LoadOptions load;
  load.threads = moe::openmp_pool();
  auto model = moe::Model::load(model_path, load);
  if (!model) return moe::forward(model);
  moe::eval::SessionModelOptions options;
  options.threads = load.threads;
  auto asked = moe::eval::SessionModel::create(*model, options);
  if (!asked) return moe::forward(asked);

  auto spec = moe::eval::load_task(exam_path);  // or the name of a built-in task, "mmlu"
  if (!spec) return moe::forward(spec);
  auto task = moe::eval::prepare(*spec, {});
  if (!task) return moe::forward(task);
  auto outcome = moe::eval::evaluate(*task, **asked);
  if (!outcome) return moe::forward(outcome);

  const moe::eval::MetricValue& accuracy = outcome->overall.metrics.front();
  const double questions = static_cast<double>(outcome->overall.question_count);
  std::printf("%.0f questions: accuracy %.4f +- %.4f (guessing: %.4f)\n", questions, accuracy.value,
              accuracy.standard_error.value_or(0.0), outcome->chance);
  std::printf("%.6f GFLOPs per question; executed %.6f, as prefixes were shared\n",
              static_cast<double>(outcome->model_flops) / questions / 1e9,
              static_cast<double>(outcome->executed.total()) / questions / 1e9);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: evaluate MODEL EXAM.jsonl\n");
    return 2;
  }
  if (auto done = run(argv[1], argv[2]); !done) {
    std::fprintf(stderr, "evaluate: %s\n", done.error().message.c_str());
    return 1;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {  // a full disk must not look like success
    std::fprintf(stderr, "evaluate: cannot write the output\n");
    return 1;
  }
}

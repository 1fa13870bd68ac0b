#include "bench/eval_cost.hpp"

#include "bench/eval_setup.hpp"
#include "moe/eval/evaluate.hpp"
#include "moe/tokenizer.hpp"
#include "tools/common/program.hpp"

namespace eval_cost {

namespace eval = moe::eval;

moe::Result<Counted> count(const eval_rows::Setting& row, const moe::ModelConfig& config,
                           const std::vector<eval::PreparedTask>& tasks, const eval_rows::Options& o,
                           const moe::ParallelFor& threads) {
  auto tokenizer = moe::Tokenizer::load(row.path);
  const bool has_tokenizer = tokenizer.has_value();
  if (!tokenizer && tokenizer.error().code != moe::ErrorCode::not_found) return moe::forward(tokenizer);
  if (!tokenizer) tokenizer = eval::estimating_tokenizer(config.vocab_size);
  eval::CostModel model(config, *tokenizer, {o.max_length, threads});
  for (const eval::PreparedTask& task : tasks) {
    cli::ProgressLine line("planning " + row.name + " " + task.spec.name);
    eval::EvaluateOptions how = eval_setup::evaluate_options(threads, line);
    how.bootstrap_count = 0;
    if (const auto counted = eval::evaluate(task, model, how); !counted) return moe::forward(counted);
  }
  return Counted{model.cost(), has_tokenizer};
}

}  // namespace eval_cost

#include "bench/eval_cost.hpp"

#include <set>
#include <string>

#include "bench/eval_setup.hpp"
#include "moe/eval/evaluate.hpp"
#include "moe/tokenizer.hpp"
#include "tools/common/program.hpp"

namespace eval_cost {

namespace eval = moe::eval;

namespace {

std::size_t bytes_of(const std::string& text) {
  constexpr std::size_t kAllocation = 16;
  return sizeof text + text.size() + kAllocation;
}

template <class Each>
void each_document(const std::vector<eval::PreparedTask>& tasks, Each&& each) {
  for (const eval::PreparedTask& task : tasks)
    for (const eval::Subtask& subtask : task.subtasks)
      for (const eval::Document& document : subtask.documents) each(task, document);
}

std::size_t prompt_bytes(const std::vector<eval::PreparedTask>& tasks) {
  std::size_t bytes = 0;
  each_document(tasks, [&](const eval::PreparedTask&, const eval::Document& d) {
    bytes += sizeof d + bytes_of(d.question.id) + bytes_of(d.target) + bytes_of(d.cluster);
    for (const auto* texts : {&d.contexts, &d.continuations, &d.chat_continuations})
      for (const std::string& text : *texts) bytes += bytes_of(text);
    for (const eval::Conversation& conversation : d.conversations)
      for (const moe::ChatMessage& message : conversation.messages) bytes += sizeof message + bytes_of(message.content);
  });
  return bytes;
}

// Questions are views into their files.
std::size_t file_bytes(const std::vector<eval::PreparedTask>& tasks) {
  std::set<const std::string*> files;
  each_document(tasks,
                [&](const eval::PreparedTask&, const eval::Document& d) { files.insert(d.question.file.get()); });
  std::size_t bytes = 0;
  for (const std::string* file : files) bytes += file != nullptr ? bytes_of(*file) : 0;
  return bytes;
}

std::size_t answer_bytes(const std::vector<eval::PreparedTask>& tasks) {
  constexpr std::size_t kTokenText = 8;  // bytes of text, in the reply and in what a filter finds
  std::size_t bytes = 0;
  each_document(tasks, [&](const eval::PreparedTask& task, const eval::Document& d) {
    bytes += sizeof(eval::DocumentOutcome) + d.continuations.size() * sizeof(eval::Score) +
             task.spec.metrics.size() * sizeof(double);
    if (task.spec.kind == eval::TaskKind::generation)
      bytes += kTokenText * static_cast<std::size_t>(task.spec.generation.max_tokens);
  });
  return bytes;
}

}  // namespace

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

std::int64_t question_bytes(const std::vector<eval::PreparedTask>& tasks) {
  return static_cast<std::int64_t>(file_bytes(tasks) + prompt_bytes(tasks));
}

std::int64_t row_bytes(const std::vector<eval::PreparedTask>& tasks, const std::vector<eval::PreparedTask>& own) {
  return static_cast<std::int64_t>(prompt_bytes(own) + answer_bytes(tasks));
}

}  // namespace eval_cost

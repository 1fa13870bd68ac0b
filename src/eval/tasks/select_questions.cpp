// Some of a task's questions.

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

std::vector<QuestionIndex> all_questions(const PreparedTask& task) {
  std::vector<QuestionIndex> out;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s)
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) out.push_back({s, d});
  return out;
}

PreparedTask select_questions(const PreparedTask& task, std::span<const QuestionIndex> questions) {
  PreparedTask out;
  out.spec = task.spec, out.num_fewshot = task.num_fewshot;
  out.data_path = task.data_path, out.chat_retries = task.chat_retries;
  std::size_t last = task.subtasks.size();
  for (const QuestionIndex& q : questions) {
    const Subtask& from = task.subtasks[q.subtask];
    if (q.subtask != last) out.subtasks.push_back({from.name, from.alias, from.subject, {}, from.original_count, {}});
    last = q.subtask;
    out.subtasks.back().documents.push_back(from.documents[q.document]);
    out.subtasks.back().positions.push_back(from.position(q.document));
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

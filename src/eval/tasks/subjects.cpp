#include "eval/tasks/subjects.hpp"

#include <map>

#include "eval/tasks/question.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::size_t kMaxSubjects = 1000;  // MMLU has 57

SubjectNames by_field(const PreparedTask& task) {
  SubjectNames out;
  std::map<std::string, std::int32_t> known;
  for (const Subtask& subtask : task.subtasks)
    for (const Document& document : subtask.documents) {
      const auto fields = QuestionFields::read(document.question);
      const std::string name = fields ? fields->text("subject").value_or("-") : "-";
      const auto [at, is_new] = known.emplace(name, static_cast<std::int32_t>(out.names.size()));
      if (is_new) out.names.push_back(name);
      out.of_question.push_back(at->second);
    }
  return out;
}

}  // namespace

SubjectNames subjects_of(const PreparedTask& task) {
  if (task.subtasks.size() <= 1) {
    SubjectNames out = by_field(task);
    const bool is_one = out.names.size() == 1 && out.names[0] == "-";
    if (!is_one && out.names.size() <= kMaxSubjects) return out;
    out.names = {task.spec.name};
    out.of_question.assign(out.of_question.size(), 0);
    return out;
  }
  SubjectNames out;
  for (const Subtask& subtask : task.subtasks) {
    out.of_question.insert(out.of_question.end(), subtask.documents.size(),
                           static_cast<std::int32_t>(out.names.size()));
    out.names.push_back(subtask.subject.empty() ? subtask.name : subtask.subject);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

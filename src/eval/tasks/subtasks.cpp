#include "eval/tasks/subtasks.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "eval/tasks/fewshot.hpp"
#include "eval/tasks/question.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::size_t limited(std::size_t count, double limit) {
  if (limit <= 0) return count;
  const double wanted = limit >= 1 ? std::floor(limit) : std::ceil(limit * static_cast<double>(count));
  return wanted < static_cast<double>(count) ? static_cast<std::size_t>(wanted) : count;
}

// The questions of one subtask, as indices.
struct Members {
  std::string subject;
  std::vector<std::uint32_t> questions;
};

Result<std::vector<Members>> members_of(const TaskSpec& task, const std::vector<Question>& questions,
                                        const ReadHooks& hooks) {
  std::vector<Members> out;
  if (task.subtask_name.empty()) out.emplace_back();
  std::map<std::string, std::size_t> index_of;
  for (const auto& [subject, title] : task.subjects)
    if (index_of.emplace(subject, out.size()).second && !task.subtask_name.empty()) out.push_back({subject, {}});
  for (std::size_t i = 0; i < questions.size(); ++i) {
    if (auto ok = ask_hooks(hooks, task.name, i, questions.size()); !ok) return forward(ok);
    std::size_t at = 0;
    if (!task.subtask_name.empty()) {
      const auto fields = QuestionFields::read(questions[i]);
      if (!fields) return forward(fields);
      const std::string subject = field_of(*fields, "subject");
      const auto [found, is_new] = index_of.emplace(subject, out.size());
      if (is_new && out.size() == kMostSubtasks)
        return fail(ErrorCode::bad_file, fmt::format("question {}: subject {} is one more than {}",
                                                     in_quotes(questions[i].id), in_quotes(subject), kMostSubtasks));
      if (is_new) out.push_back({subject, {}});
      at = found->second;
    }
    out[at].questions.push_back(static_cast<std::uint32_t>(i));
  }
  return out;
}

// If only few questions are asked, the text of all others should not stay in memory.
void take_along_lines(std::vector<AskedSubtask>& subtasks) {
  std::size_t bytes = 0;
  for (const AskedSubtask& subtask : subtasks)
    for (const Question& q : subtask.questions) bytes += q.json.size();
  std::string lines;
  lines.reserve(bytes);
  for (const AskedSubtask& subtask : subtasks)
    for (const Question& q : subtask.questions) lines += q.json;
  const auto file = std::make_shared<const std::string>(std::move(lines));
  std::string_view rest = *file;
  for (AskedSubtask& subtask : subtasks)
    for (Question& q : subtask.questions) {
      q.json = rest.substr(0, q.json.size());
      q.file = file;
      rest.remove_prefix(q.json.size());
    }
}

}  // namespace

Result<void> ask_hooks(const ReadHooks& hooks, std::string_view task, std::size_t done, std::size_t count) {
  constexpr std::size_t kEvery = 64;
  if (done % kEvery != 0) return {};
  const std::string name = shortened(task, 60);
  if (hooks.on_progress)
    hooks.on_progress("preparing " + name, static_cast<std::int64_t>(done), static_cast<std::int64_t>(count));
  if (!hooks.cancelled || !hooks.cancelled()) return {};
  return fail(ErrorCode::cancelled, fmt::format("interrupted while {} was prepared", name));
}

Result<std::vector<AskedSubtask>> split(const TaskSpec& task, std::vector<Question> questions, double limit,
                                        const ReadHooks& hooks) {
  const auto members = members_of(task, questions, hooks);
  if (!members) return forward(members);
  std::vector<AskedSubtask> out;
  for (const Members& m : *members) {
    if (m.questions.empty()) continue;
    AskedSubtask& asked = out.emplace_back();
    const bool is_whole = task.subtask_name.empty();
    asked.subtask = {is_whole ? task.name : "",
                     is_whole ? task.alias : "",
                     m.subject,
                     {},
                     static_cast<std::int64_t>(m.questions.size())};
    const std::size_t count = limited(m.questions.size(), limit);
    asked.questions.reserve(count);
    for (std::size_t i = 0; i < count; ++i) asked.questions.push_back(std::move(questions[m.questions[i]]));
  }
  if (limit > 0) take_along_lines(out);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

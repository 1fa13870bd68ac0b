#include "eval/report/subject_gaps.hpp"

#include <algorithm>
#include <map>

#include "eval/report/standing.hpp"
#include "eval/tasks/question.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

struct Place {
  std::size_t subtask, question;
};

// The questions of a task by one field: a name after the other, in the order of the tables.
struct Parts {
  std::string field;
  std::vector<std::pair<std::string, std::vector<Place>>> parts;
};

Parts by_subtask(const PreparedTask& task) {
  Parts out{"subtask", {}};
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) {
    auto& part = out.parts.emplace_back(task.subtasks[s].name, std::vector<Place>());
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) part.second.push_back({s, d});
  }
  return out;
}

// As in the outcome's breakdown. Fields were read before, so unreadable ones are left out.
Parts by_field(const PreparedTask& task, const Breakdown& breakdown) {
  Parts out{breakdown.field, {}};
  std::map<std::string, std::vector<Place>> members;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s)
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d)
      if (const auto fields = QuestionFields::read(task.subtasks[s].documents[d].question))
        members[fields->text(breakdown.field).value_or("-")].push_back({s, d});
  for (const Aggregate& row : breakdown.rows) out.parts.emplace_back(row.name, std::move(members[row.name]));
  return out;
}

std::vector<Parts> parts_of(const PreparedTask& task, const TaskOutcome& outcome) {
  std::vector<Parts> out;
  if (task.subtasks.size() > 1) out.push_back(by_subtask(task));
  for (const Breakdown& breakdown : outcome.breakdowns) out.push_back(by_field(task, breakdown));
  return out;
}

SubjectGaps gaps_of(const RunReport& report, const Comparison& c, const Parts& parts) {
  const PreparedTask& task = report.tasks[c.task];
  const auto& a = report.models[c.a].outcomes[c.task].documents;
  const auto& b = report.models[c.b].outcomes[c.task].documents;
  const std::size_t at = headline_column(task.spec.metrics);
  SubjectGaps out{0, parts.field, {}};
  for (const auto& [name, places] : parts.parts) {
    std::vector<double> scores_a, scores_b;
    std::vector<std::string> clusters;
    for (const Place& p : places) {
      scores_a.push_back(a[p.subtask][p.question].metrics[at]);
      scores_b.push_back(b[p.subtask][p.question].metrics[at]);
      clusters.push_back(task.subtasks[p.subtask].documents[p.question].cluster);
    }
    if (auto gap = paired_gap(scores_a, scores_b, clusters)) out.rows.push_back({name, *gap, 1});
  }
  return out;
}

// One family of tests per task and field: all pairs of models, all rows.
void adjust(std::vector<SubjectGaps>& all, const std::vector<Comparison>& comparisons) {
  std::map<std::pair<std::size_t, std::string>, std::vector<SubjectGap*>> families;
  for (SubjectGaps& one : all)
    for (SubjectGap& row : one.rows) families[{comparisons[one.comparison].task, one.field}].push_back(&row);
  for (auto& family : families) {
    std::vector<double> p_values;
    for (const SubjectGap* row : family.second) p_values.push_back(row->gap.p_value);
    const std::vector<double> adjusted = holm(p_values);
    for (std::size_t i = 0; i < adjusted.size(); ++i) family.second[i]->adjusted_p = adjusted[i];
  }
}

}  // namespace

std::vector<SubjectGaps> compare_subjects(const RunReport& report, const std::vector<Comparison>& comparisons) {
  std::vector<SubjectGaps> out;
  std::map<std::size_t, std::vector<Parts>> by_task;
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    const Comparison& c = comparisons[i];
    const PreparedTask& task = report.tasks[c.task];
    if (!has_accuracy(task.spec.metrics)) continue;
    auto found = by_task.find(c.task);
    if (found == by_task.end())
      found = by_task.emplace(c.task, parts_of(task, report.models[c.a].outcomes[c.task])).first;
    for (const Parts& parts : found->second) {
      SubjectGaps gaps = gaps_of(report, c, parts);
      gaps.comparison = i;
      if (gaps.rows.size() > 1) out.push_back(std::move(gaps));
    }
  }
  adjust(out, comparisons);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

#include "eval/report/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/report/sentences.hpp"
#include "eval/report/standing.hpp"
#include "eval/report/subject_gaps.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {

namespace {

// More comparisons than these are left to their table.
constexpr std::size_t kSentences = 6;

std::string sentence(const RunReport& report, const Comparison& c, const TableOptions& options) {
  const GapFacts facts = {.a = shown_name(report.models[c.a].name),
                          .b = shown_name(report.models[c.b].name),
                          .gap = c.gap.gap,
                          .standard_error = c.gap.standard_error,
                          .p = c.adjusted_p,
                          .distinguishable = c.distinguishable(),
                          .questions = c.gap.question_count,
                          .questions_needed = questions_needed(c.gap)};
  const auto ink = [&](const char* words, bool is_better) {
    return inked(words, is_better ? Ink::good : Ink::open, options);
  };
  return shown_name(report.tasks[c.task].spec.name) + ": " + gap_sentence(facts, ink);
}

std::string alone(const PreparedTask& task, const ModelRun& model, const TaskOutcome& outcome) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  return shown_name(task.spec.name) + ": " +
         answer_sentence({.name = shown_name(model.name),
                          .accuracy = accuracy.value,
                          .standard_error = accuracy.standard_error,
                          .questions = task.question_count(),
                          .chance = outcome.chance,
                          .flops_per_question = flops_per_question(task, outcome)});
}

// Names of the models that no other beats in both accuracy and compute.
std::string front_of(const RunReport& report, std::size_t t) {
  const Standing standing = standing_of(report, t);
  if (standing.models.size() < 2) return "";
  std::string names;
  for (std::size_t m = 0; m < standing.models.size(); ++m)
    if (standing.front[m]) names += (names.empty() ? "" : ", ") + shown_name(standing.models[m]->name);
  return fmt::format("{}: Pareto front of accuracy against FLOPs: {}", shown_name(report.tasks[t].spec.name), names);
}

}  // namespace

std::string inked(std::string_view text, Ink ink, const TableOptions& options) {
  static constexpr std::array kCodes = {"1", "1;32", "1;35"};  // green and magenta: readable on black and on white
  if (!options.colour) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(ink)], text);
}

std::string render_verdict(const RunReport& report, const TableOptions& options) {
  std::vector<std::string> lines;
  const std::vector<Comparison> comparisons = compare_models(report);
  for (std::size_t i = 0; i < std::min(comparisons.size(), kSentences); ++i)
    lines.push_back(sentence(report, comparisons[i], options));
  if (comparisons.size() > kSentences)
    lines.push_back(fmt::format("{} more comparisons stand in the table of gaps", comparisons.size() - kSentences));
  for (std::size_t t = 0; t < report.tasks.size(); ++t) {
    if (!has_accuracy(report.tasks[t].spec.metrics)) continue;
    if (report.models.size() == 1 && t < report.models[0].outcomes.size())
      lines.push_back(alone(report.tasks[t], report.models[0], report.models[0].outcomes[t]));
    else if (const std::string front = front_of(report, t); !front.empty())
      lines.push_back(front);
  }
  std::string out;
  for (const std::string& line : lines) out += wrapped(line, options.columns);
  return out.empty() ? out : out + "\n";
}

}  // namespace moe::inline MOE_ABI::eval

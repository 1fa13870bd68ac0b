#include "eval/report/until_known.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::vector<std::string> shown_names(const RunReport& report) {
  std::vector<std::string> out;
  for (const ModelRun& run : report.models) out.push_back(shown_name(run.name));
  return out;
}

// The columns of the page's table, with accuracies after the names.
Table with_accuracy(Table table, const RunReport& report) {
  table.columns.insert(table.columns.begin() + 1, Column{"acc %"});
  for (std::size_t m = 0; m < table.rows.size(); ++m) {
    double right = 0;
    for (std::size_t t = 0; t < report.models[m].outcomes.size(); ++t) {
      const PreparedTask& task = report.models[m].task(report.tasks, t);
      right += accuracy_of(task, report.models[m].outcomes[t]).value * static_cast<double>(task.question_count());
    }
    const auto asked = static_cast<double>(report.until_known->models[m].questions);
    table.rows[m].insert(table.rows[m].begin() + 1, word(percent_form(right / asked)));
  }
  return table;
}

}  // namespace

std::string pair_verdict(const UntilKnown& known, const PairVerdict& pair, const std::vector<std::string>& names) {
  const std::string &a = names[pair.a], &b = names[pair.b];
  const std::string after = "known after " + questions_form(pair.questions);
  const std::string interval = fmt::format("interval {} to {}", points_form(pair.lower), points_form(pair.upper));
  switch (pair.verdict) {
    case Verdict::a_better:
    case Verdict::b_better: {
      // The sign is that of the verdict, which may differ from the gap on the questions drawn.
      const double sign = pair.verdict == Verdict::a_better ? 1 : -1;
      return gap_sentence({.a = a,
                           .b = b,
                           .gap = std::copysign(pair.gap, sign),
                           .interval = std::pair{pair.lower, pair.upper},
                           .interval_name = "interval",
                           .distinguishable = true}) +
             ", " + after;
    }
    case Verdict::equal:
      return fmt::format("{} and {} are equal within ±{:g} points ({}), {}", a, b, 100 * known.margin, interval, after);
    case Verdict::open: break;
  }
  return fmt::format("{} and {}: not known after all {} ({} points, {})", a, b, questions_form(pair.questions),
                     points_form(pair.gap), interval);
}

std::string questions_used(const UntilKnown& known) {
  double spent = 0, saved = 0;
  for (const ModelUse& use : known.models) spent += static_cast<double>(use.model_flops), saved += use.unasked_flops;
  return fmt::format("{} of {} were asked ({} %), with {} look{}; {} GFLOPs spent, about {} saved ({:.0f} %)",
                     count_form(known.asked), questions_form(known.question_count),
                     percent_form(static_cast<double>(known.asked) / static_cast<double>(known.question_count)),
                     known.looks, known.looks == 1 ? "" : "s", gflops_form(spent), gflops_form(saved),
                     spent + saved > 0 ? 100 * saved / (spent + saved) : 0.0);
}

std::vector<std::string> cautions(const UntilKnown& known) {
  std::vector<std::string> out = {
      fmt::format("All verdicts and intervals hold together with probability {} %, although the run looked after every "
                  "block and stopped when it knew (alpha {})",
                  fmt::format("{:g}", 100 * (1 - known.alpha)), fmt::format("{:g}", known.alpha))};
  const bool is_part = std::any_of(known.models.begin(), known.models.end(),
                                   [&](const ModelUse& use) { return use.questions < known.question_count; });
  if (!is_part) return out;
  out.push_back("Gaps in points tend to be too large where a run stopped early; the intervals allow for that");
  out.push_back(
      "Rows by subject are partial: each subject has only the questions that were drawn; FLOPs saved are an "
      "estimate from the mean of those asked");
  return out;
}

std::string family_verdict(const std::string& family_a, const std::string& family_b, const std::string& best_a,
                           const std::string& best_b, const FamilyGap& gap) {
  return gap_sentence({.a = fmt::format("{} (best: {})", family_a, best_a),
                       .b = fmt::format("{} (best: {})", family_b, best_b),
                       .gap = gap.distinguishable() ? std::copysign(gap.gap, gap.low) : gap.gap,
                       .interval = std::pair{gap.low, gap.high},
                       .distinguishable = gap.distinguishable()});
}

std::string render_until_known(const RunReport& report, const TableOptions& options) {
  if (!report.until_known) return "";
  const UntilKnown& known = *report.until_known;
  const std::vector<std::string> names = shown_names(report);
  std::string out;
  for (const PairVerdict& pair : known.pairs) out += wrapped(pair_verdict(known, pair, names), options.columns);
  out += wrapped(questions_used(known), options.columns);
  out += plain_table(stopped_pairs_table(known, names, ""), options);
  out += plain_table(with_accuracy(stopped_use_table(known, names, ""), report), options) + "\n";
  for (const std::string& caution : cautions(known)) out += wrapped(caution, options.columns);
  return out;
}

std::string render_families(const RunReport& report, const TableOptions& options) {
  if (report.family_gaps.empty()) return "";
  std::string out = "\n";
  for (const FamilyComparison& c : report.family_gaps) {
    const auto name = [&](std::size_t family) { return shown_name(report.families[family].name); };
    out += wrapped(shown_name(report.tasks[c.task].spec.name) + ": " +
                       family_verdict(name(c.a), name(c.b), shown_name(report.models[c.gap.best_a].name),
                                      shown_name(report.models[c.gap.best_b].name), c.gap),
                   options.columns);
  }
  out += wrapped(fmt::format("Family gaps: {} bootstrap samples of whole clusters of questions; in each, the best of "
                             "either family is determined again",
                             count_form(report.family_gaps[0].gap.replicates)),
                 options.columns);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

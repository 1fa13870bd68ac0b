#include "eval/report/until_known.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/forms.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string spread(const char* what, double low, double high) {
  return fmt::format("{} {} to {}", what, points_form(low), points_form(high));
}

std::vector<std::string> shown_names(const RunReport& report) {
  std::vector<std::string> out;
  for (const ModelRun& run : report.models) out.push_back(shown_name(run.name));
  return out;
}

std::string pairs_table(const UntilKnown& known, const std::vector<std::string>& names, std::size_t columns) {
  TextTable table({"A", "B", "points", "interval", "anytime p", "only A", "only B", "questions"});
  for (const PairVerdict& pair : known.pairs)
    table.add({names[pair.a], names[pair.b], points_form(pair.gap),
               points_form(pair.lower) + " to " + points_form(pair.upper), p_form(pair.p_value),
               count_form(pair.only_a), count_form(pair.only_b), count_form(pair.questions)});
  return table.render(columns);
}

std::string use_table(const RunReport& report, const UntilKnown& known, const std::vector<std::string>& names,
                      std::size_t columns) {
  TextTable table({"model", "acc %", "questions", "of all %", "GFLOPs spent", "saved (estimate)", "executed"});
  for (std::size_t m = 0; m < known.models.size(); ++m) {
    const ModelUse& use = known.models[m];
    double right = 0;
    for (std::size_t t = 0; t < report.models[m].outcomes.size(); ++t) {
      const PreparedTask& task = report.models[m].task(report.tasks, t);
      right += accuracy_of(task, report.models[m].outcomes[t]).value * static_cast<double>(task.question_count());
    }
    const auto asked = static_cast<double>(use.questions);
    table.add({names[m], percent_form(right / asked), count_form(use.questions),
               percent_form(asked / static_cast<double>(known.question_count)),
               gflops_form(static_cast<double>(use.model_flops)), gflops_form(use.unasked_flops),
               gflops_form(static_cast<double>(use.executed_flops))});
  }
  return table.render(columns);
}

}  // namespace

std::string pair_verdict(const UntilKnown& known, const PairVerdict& pair, const std::vector<std::string>& names) {
  const std::string &a = names[pair.a], &b = names[pair.b];
  const std::string interval = spread("interval", pair.lower, pair.upper), after = count_form(pair.questions);
  const auto better = [&](const std::string& winner, const std::string& loser, double low, double high) {
    return fmt::format("{} is better than {} by {} points ({}), known after {} questions", winner, loser,
                       percent_form(std::abs(pair.gap)), spread("interval", low, high), after);
  };
  switch (pair.verdict) {
    case Verdict::a_better: return better(a, b, pair.lower, pair.upper);
    case Verdict::b_better: return better(b, a, -pair.upper, -pair.lower);
    case Verdict::equal:
      return fmt::format("{} and {} are equal within ±{} points ({}), known after {} questions", a, b,
                         fmt::format("{:g}", 100 * known.margin), interval, after);
    case Verdict::open: break;
  }
  return fmt::format("{} and {}: not known after all {} questions ({} points, {})", a, b, after, points_form(pair.gap),
                     interval);
}

std::string questions_used(const UntilKnown& known) {
  double spent = 0, saved = 0;
  for (const ModelUse& use : known.models) spent += static_cast<double>(use.model_flops), saved += use.unasked_flops;
  return fmt::format("{} of {} questions were asked ({} %), with {} look{}; {} GFLOPs spent, about {} saved ({:.0f} %)",
                     count_form(known.asked), count_form(known.question_count),
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
  const std::string a = fmt::format("{} (best: {})", family_a, best_a);
  const std::string b = fmt::format("{} (best: {})", family_b, best_b);
  if (!gap.distinguishable())
    return fmt::format("{} and {} are not distinguishable: {} points ({})", a, b, points_form(gap.gap),
                       spread("95 % interval", gap.low, gap.high));
  const bool is_a = gap.low > 0;
  return fmt::format("{} is better than {} by {} points ({})", is_a ? a : b, is_a ? b : a,
                     percent_form(std::abs(gap.gap)),
                     spread("95 % interval", is_a ? gap.low : -gap.high, is_a ? gap.high : -gap.low));
}

std::string render_until_known(const RunReport& report, const TableOptions& options) {
  if (!report.until_known) return "";
  const UntilKnown& known = *report.until_known;
  const std::vector<std::string> names = shown_names(report);
  std::string out;
  for (const PairVerdict& pair : known.pairs) out += wrapped(pair_verdict(known, pair, names), options.columns);
  out += wrapped(questions_used(known), options.columns);
  out += "\n" + pairs_table(known, names, options.columns);
  out += "\n" + use_table(report, known, names, options.columns);
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
                             "either family is looked for anew",
                             count_form(report.family_gaps[0].gap.replicates)),
                 options.columns);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

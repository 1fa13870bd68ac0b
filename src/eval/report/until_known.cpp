// What --until-known found, for a terminal: the verdicts first, at most 100 columns.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "moe/eval/report.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string name(const RunReport& report, std::size_t model, std::size_t columns = 24) {
  return shortened(report.models[model].name, columns);
}

std::string share(std::int64_t part, std::int64_t all) {
  return fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

std::string verdict_line(const RunReport& report, const UntilKnown& known, const PairVerdict& pair) {
  const std::string a = name(report, pair.a), b = name(report, pair.b);
  switch (pair.verdict) {
    case Verdict::a_better: return fmt::format("{} is better than {}", a, b);
    case Verdict::b_better: return fmt::format("{} is better than {}", b, a);
    case Verdict::equal: return fmt::format("{} and {} are equal within +-{:g} points", a, b, 100 * known.margin);
    case Verdict::open: return fmt::format("{} and {}: not known after all questions", a, b);
  }
  return "";
}

std::string pairs_table(const RunReport& report, const UntilKnown& known) {
  TextTable table({"A - B", "gap, points", "interval", "anytime p", "questions"});
  for (const PairVerdict& pair : known.pairs)
    table.add({name(report, pair.a, 18) + " - " + name(report, pair.b, 18), fmt::format("{:+.2f}", 100 * pair.gap),
               fmt::format("{:+.1f} to {:+.1f}", 100 * pair.lower, 100 * pair.upper),
               fmt::format("{:.2g}", pair.p_value), std::to_string(pair.questions)});
  return table.render();
}

std::string models_table(const RunReport& report, const UntilKnown& known) {
  TextTable table({"model", "questions", "of all", "GFLOPs spent", "saved (estimate)", "executed"});
  for (std::size_t m = 0; m < known.models.size(); ++m) {
    const ModelUse& use = known.models[m];
    table.add({name(report, m), std::to_string(use.questions), share(use.questions, known.question_count),
               fmt::format("{:.4g}", static_cast<double>(use.model_flops) / 1e9),
               fmt::format("{:.4g}", use.unasked_flops / 1e9),
               fmt::format("{:.4g}", static_cast<double>(use.executed_flops) / 1e9)});
  }
  return table.render();
}

}  // namespace

std::string render_until_known(const RunReport& report) {
  if (!report.until_known) return "";
  const UntilKnown& known = *report.until_known;
  std::string out;
  for (const PairVerdict& pair : known.pairs) out += verdict_line(report, known, pair) + "\n";
  out += fmt::format("{} of {} questions asked ({}), {} looks, seed {}\n\n", known.asked, known.question_count,
                     share(known.asked, known.question_count), known.looks, known.seed);
  out += pairs_table(report, known);
  out += fmt::format(
      "Verdicts and {:g} % intervals hold together and although the run stopped when it liked (alpha {:g}).\n",
      100 * (1 - known.alpha), known.alpha);
  out += "\n" + models_table(report, known);
  out += "Saved: the questions not asked, at the mean of those asked, which were drawn at random.\n";
  if (known.asked < known.question_count)
    out += "Rows by subject are partial: each subject has only the questions that were drawn.\n";
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

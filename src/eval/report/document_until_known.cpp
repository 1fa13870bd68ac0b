// The first section of a report with early stopping, and the gaps between families.

#include <fmt/format.h>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/until_known.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::vector<std::string> names_of(const read::Run& run) {
  std::vector<std::string> out;
  for (const read::Model& model : run.models) out.push_back(model.name);
  return out;
}

}  // namespace

Table stopped_pairs_table(const UntilKnown& known, const std::vector<std::string>& names, const std::string& at) {
  Table table;
  table.caption = "Verdicts";
  table.columns = {{"A", false}, {"B", false}, {"verdict", false, true},
                   {"points"},   {"interval"}, {"anytime p"},
                   {"only A"},   {"only B"},   {"questions"}};
  for (std::size_t i = 0; i < known.pairs.size(); ++i) {
    const PairVerdict& pair = known.pairs[i];
    const std::string in = fmt::format("{}/pairs/{}", at, i);
    const std::string &a = names[pair.a], &b = names[pair.b];
    const std::string verdict = pair.verdict == Verdict::a_better   ? a + " is better"
                                : pair.verdict == Verdict::b_better ? b + " is better"
                                : pair.verdict == Verdict::equal    ? "equal within the margin"
                                                                    : "not known";
    table.rows.push_back({word(a), word(b), word(verdict), points_cell(pair.gap, in + "/gap"),
                          interval_cell(std::pair{pair.lower, pair.upper}, in + "/interval", true),
                          p_cell(pair.p_value, in + "/p_anytime"), count_cell(pair.only_a, in + "/only_a"),
                          count_cell(pair.only_b, in + "/only_b"), count_cell(pair.questions, in + "/questions")});
  }
  return table;
}

Table stopped_use_table(const UntilKnown& known, const std::vector<std::string>& names, const std::string& at) {
  Table table;
  table.caption = "Questions used, FLOPs spent and saved";
  table.columns = {{"model", false}, {"questions"},        {"of all, %"},
                   {"GFLOPs spent"}, {"saved (estimate)"}, {"executed GFLOPs"}};
  for (std::size_t m = 0; m < known.models.size(); ++m) {
    const ModelUse& use = known.models[m];
    const std::string in = fmt::format("{}/models/{}", at, m);
    const double part = static_cast<double>(use.questions) / static_cast<double>(known.question_count);
    table.rows.push_back({word(names[m]), count_cell(use.questions, in + "/questions"), percent_cell(part, ""),
                          significant_cell(use.model_flops, in + "/model_flops", 1e-9),
                          significant_cell(use.unasked_flops, in + "/saved_model_flops_estimate", 1e-9),
                          significant_cell(use.executed_flops, in + "/executed_flops", 1e-9)});
  }
  return table;
}

std::vector<std::string> stopped_sentences(const read::Run& run) {
  std::vector<std::string> out;
  if (!run.until_known) return out;
  const std::vector<std::string> names = names_of(run);
  for (const PairVerdict& pair : run.until_known->pairs)
    out.push_back(pair_verdict(*run.until_known, pair, names) + ".");
  out.push_back(questions_used(*run.until_known) + ".");
  for (const std::string& caution : cautions(*run.until_known)) out.push_back(caution + ".");
  return out;
}

std::vector<std::string> family_sentences(const read::Run& run) {
  std::vector<std::string> out;
  for (const read::FamilyFinding& f : run.family_gaps)
    out.push_back(f.task + ": " +
                  family_verdict(f.a, f.b, run.models[f.gap.best_a].name, run.models[f.gap.best_b].name, f.gap) + ".");
  return out;
}

void add_stopped(ReportDocument& out, const std::vector<read::Run>& runs) {
  for (std::size_t r = 0; r < runs.size(); ++r) {
    if (!runs[r].until_known) continue;
    const std::vector<std::string> names = names_of(runs[r]);
    const std::string at = fmt::format("{}/until_known", r);
    out.heading(2, "Asked until it was known");
    out.table(stopped_pairs_table(*runs[r].until_known, names, at));
    out.table(stopped_use_table(*runs[r].until_known, names, at));
    out.add(Block::Kind::small,
            "Questions came in random order. The intervals are confidence sequences and p is anytime-valid: both hold "
            "at every look together, so stopping early does not bias them. Intervals below this section are those of "
            "a fixed number of questions, and rows by subject have only the questions that were drawn.");
  }
}

void add_families(ReportDocument& out, const std::vector<read::Run>& runs) {
  Table table;
  table.caption = "Best of A against best of B";
  table.columns = {{"task", false},      {"A", false}, {"B", false},      {"best of A", false},
                   {"best of B", false}, {"points"},   {"95 % interval"}, {"± SE"}};
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (std::size_t i = 0; i < runs[r].family_gaps.size(); ++i) {
      const read::FamilyFinding& f = runs[r].family_gaps[i];
      const std::string at = fmt::format("{}/family_gaps/{}", r, i);
      table.rows.push_back({word(f.task), word(f.a), word(f.b), word(runs[r].models[f.gap.best_a].name),
                            word(runs[r].models[f.gap.best_b].name), points_cell(f.gap.gap, at + "/gap"),
                            interval_cell(std::pair{f.gap.low, f.gap.high}, at + "/interval_95", true),
                            percent_cell(f.gap.standard_error, at + "/standard_error")});
    }
  if (table.rows.empty()) return;
  out.heading(2, "Families");
  out.table(std::move(table));
  out.add(
      Block::Kind::small,
      "Bootstrap over whole clusters of questions. The best of each family is determined again in every sample: the "
      "error of the two winners alone would ignore that they were picked for winning.");
}

}  // namespace moe::inline MOE_ABI::eval

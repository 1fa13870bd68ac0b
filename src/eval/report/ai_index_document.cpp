#include "eval/report/ai_index_document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "eval/report/forms.hpp"
#include "moe/eval/statistics.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

Cell gflops_cell(double gflops) { return {fmt::format("{:.2f}", gflops), exact_form(gflops)}; }

// "~" where the reference does not reach this accuracy.
Cell multiplier_cell(const View& view, double accuracy, double gflops) {
  const auto found = view.reference ? multiplier_of(*view.reference, accuracy, gflops) : std::nullopt;
  if (!found) return nothing();
  const double x = found->value;
  const std::string shown = x >= 0.0995   ? fmt::format("{:.2f}", x)
                            : x >= 0.0005 ? fmt::format("{:.3f}", x)
                                          : fmt::format("{:.1e}", x);
  return {(found->is_extrapolated ? "~" : "") + shown, exact_form(found->value)};
}

Cell score_cell(double accuracy) { return percent_cell(accuracy, ""); }
Cell corrected_cell(double accuracy, double chance) { return percent_cell(chance_corrected(accuracy, chance), ""); }
Cell origin_cell(const Row& row) { return word(row.country + " " + row.release); }
Cell name_cell(const Row& row, bool front) {
  Cell out = word(shown_model(row));
  if (front) out.mark = "front";
  return out;
}

// Rows by rising compute, then by falling score.
template <class Keep>
std::vector<std::size_t> chosen(const View& view, Keep keep) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < view.rows.size(); ++i)
    if (keep(view.rows[i])) out.push_back(i);
  std::stable_sort(out.begin(), out.end(), [&](std::size_t a, std::size_t b) {
    const Row &ra = view.rows[a], &rb = view.rows[b];
    const double ca = ra.gflops_per_token.value_or(0), cb = rb.gflops_per_token.value_or(0);
    return ca != cb ? ca < cb : ra.accuracy > rb.accuracy;
  });
  return out;
}

void add_base(ReportDocument& out, const View& view) {
  Table table{"Published, base models",
              {{"model", false},
               {"origin", false},
               {"GFLOPs/token"},
               {"MMLU %"},
               {"corrected %", true, true},
               {"front", false},
               {"compute x"}},
              {}};
  for (const std::size_t i :
       chosen(view, [](const Row& row) { return row.kind == Kind::base && row.gflops_per_token.has_value(); })) {
    const Row& row = view.rows[i];
    table.rows.push_back({name_cell(row, view.front[i]), origin_cell(row), gflops_cell(*row.gflops_per_token),
                          score_cell(row.accuracy), corrected_cell(row.accuracy, kChance),
                          word(view.front[i] ? "*" : ""), multiplier_cell(view, row.accuracy, *row.gflops_per_token)});
  }
  out.table(std::move(table));
}

void add_others(ReportDocument& out, const View& view) {
  Table table{"Published, trained to converse or to reason: other protocols, so no front",
              {{"model", false},
               {"origin", false},
               {"kind", false},
               {"GFLOPs/token"},
               {"MMLU %"},
               {"corrected %", true, true},
               {"compute x"}},
              {}};
  for (const std::size_t i :
       chosen(view, [](const Row& row) { return row.kind != Kind::base && row.gflops_per_token.has_value(); })) {
    const Row& row = view.rows[i];
    table.rows.push_back({name_cell(row, false), origin_cell(row), word(name_of(row.kind)),
                          gflops_cell(*row.gflops_per_token), score_cell(row.accuracy),
                          corrected_cell(row.accuracy, kChance),
                          multiplier_cell(view, row.accuracy, *row.gflops_per_token)});
  }
  out.table(std::move(table));
}

void add_unsized(ReportDocument& out, const View& view) {
  Table table{"Published, compute not known: the size is not public, or the table has no figure",
              {{"model", false}, {"origin", false}, {"kind", false}, {"MMLU %"}, {"corrected %", true, true}},
              {}};
  for (const std::size_t i : chosen(view, [](const Row& row) { return !row.gflops_per_token.has_value(); })) {
    const Row& row = view.rows[i];
    table.rows.push_back({name_cell(row, false), origin_cell(row), word(name_of(row.kind)), score_cell(row.accuracy),
                          corrected_cell(row.accuracy, kChance)});
  }
  out.table(std::move(table));
}

std::string names_of(const View& view, const std::vector<bool>& front) {
  std::string out;
  for (const std::size_t i : chosen(view, [](const Row&) { return true; }))
    if (front[i]) out += (out.empty() ? "" : ", ") + shown_model(view.rows[i]);
  return out;
}

void add_compute(ReportDocument& out, const View& view, Painter& painter) {
  out.heading(2, "MMLU against compute");
  out.add(
      Block::Kind::small,
      "GFLOPs/token: 2 x the matmul parameters that a token meets, LM head included, attention over the context left "
      "out. corrected %: 0 is guessing among four, 100 is perfect. front (*): no other base row is both cheaper "
      "and better. compute x: what the reference would spend for this score over what the row spends; ~: outside "
      "of the reference's scores, extrapolated.");
  auto picture = index_picture(view, painter);
  out.picture(std::move(picture),
              "Blue: US, vermilion: China, grey: others. Filled: Pareto front of the base rows (dashed). Triangles: "
              "unverified. Green squares: measured by moe-eval, with 95 % interval; all other points are published "
              "figures. Dotted: the reference family's fit.");
  add_base(out, view);
  add_others(out, view);
  add_unsized(out, view);
  out.heading(3, "Front and reference");
  out.add(Block::Kind::text, "Pareto front of the base rows: " + names_of(view, view.front) + ".");
  if (const std::vector<bool> verified = base_front(view.rows, true); verified != view.front)
    out.add(Block::Kind::text, "Without the unverified rows: " + names_of(view, verified) + ".");
  out.add(Block::Kind::text, view.reference ? words(*view.reference)
                                            : "Reference: none. It takes three rows or more of one family whose score "
                                              "rises with compute; without it there is no compute x.");
  if (view.reference)
    out.add(Block::Kind::small,
            "A multiplier mixes architecture with training data and date: compare it with the dates beside it. A "
            "model that reasons at length spends many more tokens per answer than its GFLOPs per token tell.");
}

void add_measured(ReportDocument& out, const View& view) {
  if (view.measured.rows.empty()) return;
  out.heading(2, "Measured by moe-eval");
  out.add(Block::Kind::small,
          "From run.json, apart from the published rows: other prompts, other numbers of questions. GFLOPs/token is of "
          "the weights, as above; run GFLOPs/token is all model work of the run over its tokens: attention too, and "
          "the LM head where an answer was scored.");
  Table table{"Measured",
              {{"model", false},
               {"GFLOPs/token"},
               {"run GFLOPs/token", true, true},
               {"acc %"},
               {"\xC2\xB1 SE"},
               {"corrected %", true, true},
               {"questions"},
               {"shots"},
               {"compute x"}},
              {}};
  for (const Measured& row : view.measured.rows) {
    const std::string model_at = row.at.substr(0, row.at.find("/tasks/"));
    table.rows.push_back(
        {word(row.label),
         {significant_form(row.gflops_per_token), exact_form(row.gflops_per_token * 1e9),
          model_at + "/weight_flops_per_token", 1e-9},
         {significant_form(row.gflops_per_run_token), exact_form(row.gflops_per_run_token)},
         percent_cell(row.accuracy, row.at + "/accuracy"),
         row.standard_error ? percent_cell(*row.standard_error, row.at + "/standard_error") : nothing(),
         corrected_cell(row.accuracy, row.chance),
         count_cell(row.questions, row.at + "/questions"),
         count_cell(row.shots, row.at + "/num_fewshot"),
         multiplier_cell(view, row.accuracy, row.gflops_per_token)});
  }
  out.table(std::move(table));
  for (const std::string& sentence : view.measured.left_out) out.add(Block::Kind::small, sentence);
}

// Smaller p-values are not meaningful.
Cell tail_cell(double p) {
  return p < 1e-99 ? Cell{"<1e\xE2\x88\x92" "99", exact_form(p)} : p_cell(p, "");
}

std::vector<Cell> judgement_cells(const Judgement& j) {
  return {points_cell(j.gap, ""),
          percent_cell(j.standard_error, ""),
          tail_cell(j.p),
          percent_cell(minimum_detectable_effect(j.standard_error), ""),
          j.questions_needed ? count_cell(*j.questions_needed, "") : nothing(),
          word(verdict_of(j))};
}

const std::vector<Column> kJudgementColumns = {{"points"},          {"\xC2\xB1 SE"}, {"p", true, true},
                                               {"MDE", true, true}, {"questions"},   {"verdict", false}};

void add_gaps(ReportDocument& out, const View& view) {
  out.heading(2, "The gap between the US and China");
  out.add(
      Block::Kind::small,
      fmt::format("Best row of each country by year of release, US minus China. \xC2\xB1 SE is the sampling noise "
                  "of {} questions. Published rows carry no answer per question, so it is the binomial error of "
                  "independent questions, unpaired: an upper bound where two models tend to fail on the same "
                  "questions. Then what is real here stays real question by question; what is not distinguishable here "
                  "may be told apart that way, with fewer questions than named. real: more than this noise. It "
                  "knows nothing of differences in prompts, of contamination, or of picking the best of many rows. "
                  "Each gap is tested separately at 5 %, two-sided. MDE: the gap that 80 % of such exams would "
                  "find; questions: how many it takes for 80 % of exams to find this gap.",
                  count_form(kQuestions)));
  std::vector<Column> columns = {{"year of release", false}, {"US %"}, {"CN %"}};
  columns.insert(columns.end(), kJudgementColumns.begin(), kJudgementColumns.end());
  Table by_year{"Best US against best CN row of the table", columns, {}};
  for (const YearGap& gap : view.gaps) {
    std::vector<Cell> row = {word(name_of(gap)), score_cell(gap.us->accuracy), score_cell(gap.cn->accuracy)};
    const std::vector<Cell> rest = judgement_cells(gap.judgement);
    row.insert(row.end(), rest.begin(), rest.end());
    by_year.rows.push_back(std::move(row));
  }
  out.table(std::move(by_year));
  columns = {{"gap", false}};
  columns.insert(columns.end(), kJudgementColumns.begin(), kJudgementColumns.end());
  Table reported{"Gaps of the AI Index report 2025 (Stanford HAI), for scores around 50 % and as high as the best row",
                 columns,
                 {}};
  for (const ReportedGap& gap : view.reported)
    for (const auto& [judgement, score] : {std::pair{&gap.widest, 0.5}, std::pair{&gap.narrowest, gap.top}}) {
      std::vector<Cell> row = {word(fmt::format("{}, at {:.0f} %", gap.when, 100 * score))};
      const std::vector<Cell> rest = judgement_cells(*judgement);
      row.insert(row.end(), rest.begin(), rest.end());
      reported.rows.push_back(std::move(row));
    }
  out.table(std::move(reported));
  out.add(Block::Kind::small,
          "The report also counts closed models that have no row here, so its gaps are not those of the table above.");
}

void add_sources(ReportDocument& out, const View& view) {
  out.heading(2, "Where the figures come from");
  const auto unverified =
      std::count_if(view.rows.begin(), view.rows.end(), [](const Row& row) { return !row.is_verified(); });
  out.add(Block::Kind::text,
          fmt::format("{} of {} rows are unverified (\xE2\x80\xA0): their score was read on a third party's page "
                      "(secondary) or written from memory of the source (recalled). The others were read in the "
                      "source that is named (on_disk). Rows differ in protocol; nobody asked all these models the same "
                      "prompts.",
                      unverified, view.rows.size()));
  Table table{"Published rows",
              {{"model", false}, {"status", false}, {"protocol", false}, {"source", false}, {"note", false, true}},
              {},
              true};
  for (const Row& row : view.rows)
    table.rows.push_back(
        {word(shown_model(row)), word(name_of(row.status)), word(row.protocol), word(row.source), word(row.note)});
  out.table(std::move(table));
}

}  // namespace

View view_of(std::string file, std::vector<Row> rows, MeasuredModels measured) {
  View out;
  out.file = std::move(file), out.rows = std::move(rows), out.measured = std::move(measured);
  out.reference = fit_reference(out.rows);
  out.front = base_front(out.rows);
  out.gaps = gaps_by_year(out.rows);
  out.reported = reported_gaps(out.rows);
  return out;
}

ReportDocument index_document(const View& view, Painter& painter) {
  ReportDocument out;
  out.program = "moe-eval index",
  out.origin = view.measured.rows.empty() ? "a published table" : "a published table and run.json";
  out.title = view.measured.rows.empty() ? "MMLU against compute" : "MMLU against compute, published and measured";
  out.subtitle = fmt::format("{} published rows ({})", view.rows.size(), view.file);
  if (!view.measured.rows.empty()) out.subtitle += fmt::format(", {} measured", view.measured.rows.size());
  out.add(Block::Kind::lead, headline(view.reported));
  Block years{Block::Kind::list};
  for (const ReportedGap& gap : view.reported) years.items.push_back(words(gap));
  for (const YearGap& gap : view.gaps) years.items.push_back(words(gap));
  if (view.gaps.empty()) years.items.emplace_back("No year of this table has rows of both countries.");
  out.blocks.push_back(std::move(years));
  add_compute(out, view, painter);
  add_measured(out, view);
  add_gaps(out, view);
  add_sources(out, view);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

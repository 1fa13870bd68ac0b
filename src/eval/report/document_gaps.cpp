// Is the difference real? Pairs of models, on the whole task and subject by subject.

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr const char* kMinus = " \xE2\x88\x92 ";
// Tables of subjects that stand open; the others are folded away.
constexpr std::size_t kOpenTables = 1, kDrawnTables = 12;

std::string mark_of(const read::Gap& gap) { return !gap.distinguishable ? "tied" : gap.gap > 0 ? "better" : "behind"; }

Bar bar_of(const read::Gap& gap, std::string label) {
  const auto [low, high] = gap.interval.value_or(std::pair{gap.gap, gap.gap});
  return {std::move(label), gap.gap, low, high, !gap.distinguishable ? 0 : gap.gap > 0 ? 1 : -1};
}

// Common columns of all tables of gaps, after the first ones.
void add_gap_cells(std::vector<Cell>& row, const read::Gap& gap, const std::string& at, const std::string& verdict) {
  row.push_back(points_cell(gap.gap, at + "/gap"));
  row.back().mark = mark_of(gap);
  row.push_back(interval_cell(gap.interval, at + "/interval_95", true));
  row.push_back(p_cell(gap.p_holm, at + "/p_holm"));
  row.push_back({verdict, {}, {}, 1, mark_of(gap)});
  row.push_back(gap.standard_error ? percent_cell(*gap.standard_error, at + "/standard_error") : nothing());
  row.push_back(count_cell(gap.only_a, at + "/only_a"));
  row.push_back(count_cell(gap.only_b, at + "/only_b"));
  row.push_back(p_cell(gap.p, at + "/p_mcnemar"));
  row.push_back(gap.mde ? percent_cell(*gap.mde, at + "/minimum_detectable_effect") : nothing());
  row.push_back(gap.questions_needed ? count_cell(*gap.questions_needed, at + "/questions_needed") : nothing());
}

void add_gap_columns(Table& table) {
  table.columns.insert(table.columns.end(), {{"points"},
                                             {"95 % interval"},
                                             {"p (Holm)"},
                                             {"verdict", false},
                                             {"\xC2\xB1 SE"},
                                             {"only A"},
                                             {"only B"},
                                             {"p (McNemar)"},
                                             {"MDE"},
                                             {"needs questions"}});
}

std::string first_metric(const std::vector<read::Row>& rows) {
  return rows.empty() || rows[0].metrics.empty() ? "no metric" : rows[0].metrics[0].key;
}

// Cost per question of each row, a column per model after the accuracies.
void add_cost_columns(Table& table, const Section& section, const std::vector<read::Row>& rows) {
  if (rows.empty() || !rows[0].model_flops) return;
  for (const ModelResult& r : section.results)
    table.columns.push_back({"GFLOPs / question" + (section.results.size() > 1 ? ", " + r.label : std::string())});
}
void add_cost_cell(std::vector<Cell>& row, const read::Row* of_model, const std::string& at) {
  if (of_model == nullptr || !of_model->model_flops || of_model->questions == 0) return row.push_back(nothing());
  row.push_back(
      significant_cell(*of_model->model_flops, at + "/model_flops", 1e-9 / static_cast<double>(of_model->questions)));
}

// Accuracy by one field, a column per model.
void add_accuracy_table(ReportDocument& out, const Section& section, std::size_t field) {
  const ModelResult& first = section.results[0];
  const read::Breakdown& by = first.of_task->by[field];
  Table table;
  table.caption = metric_title(first_metric(by.rows), " by " + by.field);
  table.columns = {{by.field, false}, {"questions"}};
  for (const ModelResult& r : section.results) table.columns.push_back({r.label});
  add_cost_columns(table, section, by.rows);
  for (std::size_t i = 0; i < by.rows.size(); ++i) {
    std::vector<Cell> costs;
    std::vector<Cell> row = {
        word(by.rows[i].name),
        count_cell(by.rows[i].questions, fmt::format("{}/by/{}/{}/questions", first.at(), pointer_step(by.field), i))};
    for (const ModelResult& r : section.results) {
      const auto same = std::find_if(r.of_task->by.begin(), r.of_task->by.end(),
                                     [&](const read::Breakdown& b) { return b.field == by.field; });
      const bool is_there =
          same != r.of_task->by.end() && i < same->rows.size() && same->rows[i].name == by.rows[i].name;
      if (by.rows[0].model_flops)
        add_cost_cell(costs, is_there ? &same->rows[i] : nullptr,
                      fmt::format("{}/by/{}/{}", r.at(), pointer_step(by.field), i));
      if (!is_there || same->rows[i].metrics.empty()) {
        row.push_back(nothing());
        continue;
      }
      const read::Metric& metric = same->rows[i].metrics[0];
      const std::string at =
          fmt::format("{}/by/{}/{}/metrics/{}/value", r.at(), pointer_step(by.field), i, pointer_step(metric.key));
      row.push_back(metric_cell(metric.key, metric.value, at));
    }
    row.insert(row.end(), costs.begin(), costs.end());
    table.rows.push_back(std::move(row));
  }
  out.table(std::move(table));
}

// Subtasks and groups, the whole task left out.
void add_rows_table(ReportDocument& out, const Section& section) {
  const ModelResult& first = section.results[0];
  if (first.of_task->rows.size() < 2) return;
  Table table;
  table.caption = metric_title(first_metric(first.of_task->rows), " by subtask and group");
  table.columns = {{"name", false}, {"questions"}};
  for (const ModelResult& r : section.results) table.columns.push_back({r.label});
  add_cost_columns(table, section, first.of_task->rows);
  for (std::size_t i = 0; i < first.of_task->rows.size(); ++i) {
    std::vector<Cell> costs;
    const read::Row& of_first = first.of_task->rows[i];
    std::vector<Cell> row = {word(of_first.name),
                             count_cell(of_first.questions, fmt::format("{}/rows/{}/questions", first.at(), i))};
    if (of_first.is_group) row[0].mark = "front";
    for (const ModelResult& r : section.results) {
      const auto& rows = r.of_task->rows;
      const bool is_there = i < rows.size() && rows[i].name == of_first.name;
      if (first.of_task->rows[0].model_flops)
        add_cost_cell(costs, is_there ? &rows[i] : nullptr, fmt::format("{}/rows/{}", r.at(), i));
      if (!is_there || rows[i].metrics.empty()) {
        row.push_back(nothing());
        continue;
      }
      const std::string at =
          fmt::format("{}/rows/{}/metrics/{}/value", r.at(), i, pointer_step(rows[i].metrics[0].key));
      row.push_back(metric_cell(rows[i].metrics[0].key, rows[i].metrics[0].value, at));
    }
    row.insert(row.end(), costs.begin(), costs.end());
    table.rows.push_back(std::move(row));
  }
  out.table(std::move(table));
}

void add_pair_table(ReportDocument& out, const PairFinding& pair, const read::Comparison::By& by, Painter& painter,
                    bool is_drawn) {
  std::vector<Bar> bars;
  Table table;
  table.caption = fmt::format("{}{}{} by {}", pair.a, kMinus, pair.b, by.field);
  table.columns = {{by.field, false}, {"questions"}};
  add_gap_columns(table);
  for (std::size_t i = 0; i < by.rows.size(); ++i) {
    const read::Gap& gap = by.rows[i];
    const std::string at = fmt::format("{}/by/{}/{}", pair.at(), pointer_step(by.field), i);
    std::vector<Cell> row = {word(gap.name), gap.questions ? count_cell(*gap.questions, at + "/questions") : nothing()};
    add_gap_cells(row, gap, at, verdict_of(gap, pair.a, pair.b));
    table.rows.push_back(std::move(row));
    bars.push_back(bar_of(gap, gap.name));
  }
  const std::string title = table.caption;
  if (is_drawn) out.picture(painter.forest(title, bars), title + ": points, 95 % intervals.");
  out.table(std::move(table));
}

}  // namespace

void add_gaps(ReportDocument& out, const Section& section, Painter& painter) {
  if (section.pairs.empty()) return;
  out.heading(3, "Is the difference real?");
  std::vector<Bar> bars;
  Table table;
  table.caption = "Paired gaps on the same questions";
  table.columns = {{"A", false}, {"B", false}};
  add_gap_columns(table);
  for (const PairFinding& pair : section.pairs) {
    std::vector<Cell> row = {word(pair.a), word(pair.b)};
    add_gap_cells(row, *pair.gap, pair.at(), verdict_of(*pair.gap, pair.a, pair.b));
    table.rows.push_back(std::move(row));
    bars.push_back(bar_of(*pair.gap, pair.a + kMinus + pair.b));
  }
  out.picture(painter.forest(section.title + ": paired gaps", bars),
              "Points of A above B, 95 % intervals. Filled: distinguishable after Holm's correction; hollow: chance "
              "explains it.");
  out.table(std::move(table));
  out.add(Block::Kind::small,
          fmt::format("SE: of the paired differences; questions that share a text count as a cluster. p (Holm): "
                      "McNemar's p over all gaps of the run. {}. Needs questions: how many would find a gap of this "
                      "size.",
                      kMdeMeaning));
}

void add_subjects(ReportDocument& out, const Section& section, Painter& painter) {
  const read::Task& first = *section.results[0].of_task;
  if (first.by.empty() && first.rows.size() < 2) return;
  out.heading(3, "Subject by subject");
  add_rows_table(out, section);
  for (std::size_t f = 0; f < first.by.size(); ++f) add_accuracy_table(out, section, f);
  std::size_t tables = 0;
  for (const PairFinding& pair : section.pairs)
    for (const read::Comparison::By& by : pair.gap->by) {
      out.blocks.push_back({Block::Kind::fold, tables < kOpenTables ? 1 : 0,
                            fmt::format("{}{}{}, by {}", pair.a, kMinus, pair.b, by.field)});
      add_pair_table(out, pair, by, painter, tables < kDrawnTables);
      out.blocks.push_back({Block::Kind::fold_end});
      ++tables;
    }
  if (tables > 0)
    out.add(Block::Kind::small,
            "p (Holm) here: over all rows and all pairs of models of one field. A subject with few questions can only "
            "show a large gap (MDE).");
}

}  // namespace moe::inline MOE_ABI::eval

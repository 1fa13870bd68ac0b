// Tables on stdout.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "eval/report/chart.hpp"
#include "moe/eval/report.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string percent(double x) { return fmt::format("{:.2f}", 100 * x); }
std::string percent(const std::optional<double>& x) { return x ? percent(*x) : "N/A"; }

// Three significant digits with a unit of 1000.
std::string scaled(double x) {
  static constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  for (; std::abs(x) >= 999.5 && unit + 1 < std::size(kUnits); ++unit) x /= 1000;
  const int digits = unit == 0 && x == std::floor(x) ? 0 : std::abs(x) >= 99.95 ? 0 : std::abs(x) >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", x, digits, kUnits[unit]);
}

// GFLOPs over the whole range from nano models to large ones.
std::string giga(double flops) { return fmt::format("{:.4g}", flops / 1e9); }

std::string p_text(double p) { return p < 1e-4 ? fmt::format("{:.0e}", p) : fmt::format("{:.4f}", p); }

// "exact_match,strict-match" for the columns of filters, "acc" for others.
std::string title_of(const MetricColumn& column) {
  return column.filter == "none" ? std::string(name_of(column.metric)) : column.key();
}

bool has_accuracy(std::span<const MetricColumn> columns) { return headline_column(columns) < columns.size(); }

// The column that stands for the task: its accuracy, else what it has first.
std::size_t main_column(std::span<const MetricColumn> columns) {
  return has_accuracy(columns) ? headline_column(columns) : 0;
}

std::string with_unit(const MetricColumn& column) { return title_of(column) + (is_share(column.metric) ? " %" : ""); }

std::string value_text(Metric metric, const MetricValue& value) {
  return is_share(metric) ? percent(value.value) : fmt::format("{:.4g}", value.value);
}
std::string error_text(Metric metric, const MetricValue& value) {
  if (!value.standard_error) return "N/A";
  return is_share(metric) ? percent(*value.standard_error) : fmt::format("{:.2g}", *value.standard_error);
}

// The columns beside the headline one.
std::vector<std::size_t> extra_columns(std::span<const MetricColumn> columns) {
  std::vector<std::size_t> out;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (c != headline_column(columns)) out.push_back(c);
  return out;
}

std::string headline(const PreparedTask& task) {
  const bool is_one = task.question_count() == 1;
  std::string text =
      fmt::format("{}: {} question{}", shown_name(task.spec.name), task.question_count(), is_one ? "" : "s");
  std::int64_t original = 0;
  for (const Subtask& s : task.subtasks) original += s.original_count;
  if (original != task.question_count()) text += fmt::format(" of {}", original);
  if (task.subtasks.size() > 1) text += fmt::format(" in {} subjects", task.subtasks.size());
  return text + fmt::format(", {} shot{}\n\n", task.num_fewshot, task.num_fewshot == 1 ? "" : "s");
}

std::vector<std::string> row_of(const PreparedTask& task, const ModelRun& model, const TaskOutcome& outcome) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const double questions = static_cast<double>(task.question_count());
  std::vector<std::string> row = {shown_name(model.name)};
  if (has_accuracy(outcome.overall.kinds))
    row.insert(row.end(), {percent(accuracy.value), percent(accuracy.standard_error)});
  if (has_accuracy(outcome.overall.kinds) && task.spec.kind == TaskKind::multiple_choice)
    row.push_back(percent(chance_corrected(accuracy.value, outcome.chance)));
  for (std::size_t at : extra_columns(outcome.overall.kinds)) {
    const MetricValue& value = outcome.overall.metrics[at];
    const Metric metric = outcome.overall.kinds[at].metric;
    row.insert(row.end(), {value_text(metric, value), error_text(metric, value)});
  }
  const ParameterCount parameters = count_parameters(model.info.config);
  row.push_back(giga(static_cast<double>(outcome.model_flops) / questions));
  row.push_back(giga(static_cast<double>(weight_flops_per_token(model.info.config))));
  row.push_back(scaled(static_cast<double>(parameters.active_matmul)) + "/" +
                scaled(static_cast<double>(parameters.total)));
  row.push_back(scaled(static_cast<double>(model.info.touched_bytes)));
  row.push_back(scaled(static_cast<double>(model.resident_bytes + model.session_bytes)));
  row.push_back(scaled(outcome.seconds > 0 ? static_cast<double>(outcome.pass_tokens) / outcome.seconds : 0));
  row.push_back(fmt::format("{:.1f}", outcome.seconds));
  row.push_back(giga(static_cast<double>(outcome.executed.total())));
  row.push_back(outcome.executed.tokens > 0 ? fmt::format("{:.2f}", static_cast<double>(outcome.pass_tokens) /
                                                                        static_cast<double>(outcome.executed.tokens))
                                            : "-");
  return row;
}

// The normal error bar means little for few questions.
std::string remarks(const PreparedTask& task, const ModelRun& model, const TaskOutcome& outcome) {
  std::string text;
  if (const std::int64_t n = task.question_count(); n < 100 && has_accuracy(outcome.overall.kinds)) {
    const double accuracy = accuracy_of(task, outcome).value;
    const auto [low, high] = wilson_interval(std::llround(accuracy * static_cast<double>(n)), n);
    text += fmt::format("{}: only {} question{}, 95 % interval {} to {} % (Wilson)\n", shown_name(model.name), n,
                        n == 1 ? "" : "s", percent(low), percent(high));
  }
  return text;
}

// Questions that were not plainly asked and answered, zeros included: none is scored silently.
std::string checks_table(const RunReport& report, std::size_t t) {
  TextTable table({"questions", "truncated", "too long", "non-finite", "match limit", "skipped", "ties", "re-encoded",
                   "tokens asked", "tokens computed"});
  for (const ModelRun& model : report.models) {
    if (t >= model.outcomes.size()) continue;
    const TaskOutcome& o = model.outcomes[t];
    std::vector<std::string> row = {shown_name(model.name)};
    for (std::int64_t count : {o.truncated, o.too_long, o.non_finite, o.match_limit, o.skipped, o.tied, o.reencoded,
                               o.pass_tokens, o.executed.tokens})
      row.push_back(std::to_string(count));
    table.add(row);
  }
  return table.render();
}

std::string task_table(const RunReport& report, std::size_t t) {
  const PreparedTask& task = report.tasks[t];
  const auto& metrics = task.spec.group_metrics;
  std::vector<std::string> header = {"model"};
  if (has_accuracy(metrics)) header.insert(header.end(), {with_unit(metrics[main_column(metrics)]), "+- SE"});
  if (has_accuracy(metrics) && task.spec.kind == TaskKind::multiple_choice) header.emplace_back("corrected %");
  for (std::size_t extra : extra_columns(metrics)) header.insert(header.end(), {with_unit(metrics[extra]), "+- SE"});
  header.insert(header.end(), {"GFLOPs/question", "GFLOPs/token", "active/total", "B/token", "resident B", "tokens/s",
                               "seconds", "executed GFLOPs", "reuse"});
  TextTable table(header);
  std::string notes;
  bool any = false;
  for (const ModelRun& model : report.models)
    if (t < model.outcomes.size()) {
      table.add(row_of(task, model, model.outcomes[t]));
      notes += remarks(task, model, model.outcomes[t]);
      any = true;
    }
  return any ? headline(task) + table.render() + notes + "\n" + checks_table(report, t) + "\n" : "";
}

// Accuracy with its error bar by group, a column per model; `rows_of` picks the rows of an outcome.
template <class RowsOf>
std::string rows_table(const RunReport& report, std::size_t t, const std::string& title, RowsOf rows_of) {
  std::vector<const ModelRun*> models;
  for (const ModelRun& model : report.models)
    if (t < model.outcomes.size() && rows_of(model.outcomes[t]).size() > 1) models.push_back(&model);
  if (models.empty()) return "";
  const auto& kinds = rows_of(models[0]->outcomes[t])[0].kinds;
  std::vector<std::string> header = {with_unit(kinds[main_column(kinds)]) + " +- SE by " + shown_name(title),
                                     "questions"};
  for (const ModelRun* model : models) header.push_back(shown_name(model->name));
  TextTable table(header);
  const auto& first_rows = rows_of(models[0]->outcomes[t]);
  for (std::size_t g = 0; g < first_rows.size(); ++g) {
    std::vector<std::string> row = {shown_name(first_rows[g].alias), std::to_string(first_rows[g].question_count)};
    for (const ModelRun* model : models) {
      const Aggregate& group = rows_of(model->outcomes[t])[g];
      const std::size_t at = main_column(group.kinds);
      const Metric metric = group.kinds[at].metric;
      row.push_back(value_text(metric, group.metrics[at]) + " +- " + error_text(metric, group.metrics[at]));
    }
    table.add(row);
  }
  return table.render() + "\n";
}

// Groups of subjects (mmlu: stem, humanities, ...), then the fields of group_by.
std::string group_tables(const RunReport& report, std::size_t t) {
  std::string out = rows_table(
      report, t, "group", [](const TaskOutcome& o) -> const auto& { return o.groups; });
  for (std::size_t f = 0; f < report.tasks[t].spec.group_by.size(); ++f)
    for (const ModelRun& model : report.models) {
      if (t >= model.outcomes.size() || f >= model.outcomes[t].breakdowns.size()) continue;
      out += rows_table(
          report, t, model.outcomes[t].breakdowns[f].field, [&](const TaskOutcome& o) -> const auto& {
            return o.breakdowns[f].rows;
          });
      break;
    }
  return out;
}

std::string gap_table(const RunReport& report) {
  const std::vector<Comparison> comparisons = compare_models(report);
  if (comparisons.empty()) return "";
  TextTable table(
      {"paired gap", "task", "points", "+- SE", "only A", "only B", "p (McNemar)", "p (Holm)", "MDE", "verdict"});
  for (const Comparison& c : comparisons) {
    const std::string a = shown_name(report.models[c.a].name), b = shown_name(report.models[c.b].name);
    const std::string mde = c.gap.standard_error ? percent(minimum_detectable_effect(*c.gap.standard_error)) : "N/A";
    table.add({a + " - " + b, shown_name(report.tasks[c.task].spec.name), fmt::format("{:+.2f}", 100 * c.gap.gap),
               percent(c.gap.standard_error), std::to_string(c.gap.only_a), std::to_string(c.gap.only_b),
               p_text(c.gap.p_value), p_text(c.adjusted_p), mde,
               !c.distinguishable() ? "not distinguishable" : (c.gap.gap > 0 ? a : b) + " is better"});
  }
  return table.render() + fmt::format(
                              "Same questions for both; p after Holm over {} comparison{}; MDE: the gap that 80 % of "
                              "such exams would find.\n\n",
                              comparisons.size(), comparisons.size() == 1 ? "" : "s");
}

std::string curve_table(const RunReport& report, std::size_t t) {
  std::vector<std::size_t> rows;
  for (std::size_t m = 0; m < report.models.size(); ++m)
    if (t < report.models[m].outcomes.size()) rows.push_back(m);
  if (rows.size() < 2 || !has_accuracy(report.tasks[t].spec.metrics)) return "";
  const auto flops_of = [&](std::size_t m) {
    return static_cast<double>(report.models[m].outcomes[t].model_flops) /
           static_cast<double>(report.tasks[t].question_count());
  };
  std::stable_sort(rows.begin(), rows.end(), [&](std::size_t a, std::size_t b) { return flops_of(a) < flops_of(b); });
  std::vector<double> cost, accuracy;
  for (std::size_t m : rows) {
    cost.push_back(flops_of(m));
    accuracy.push_back(accuracy_of(report.tasks[t], report.models[m].outcomes[t]).value);
  }
  const std::vector<bool> front = pareto_front(cost, accuracy);
  const auto multipliers = compute_multipliers(cost, accuracy);
  TextTable table({"accuracy against compute, " + shown_name(report.tasks[t].spec.name), "GFLOPs/question", "acc %",
                   "front", "compute x", "points/GFLOP"});
  for (std::size_t i = 0; i < rows.size(); ++i)
    table.add({shown_name(report.models[rows[i]].name), giga(cost[i]), percent(accuracy[i]), front[i] ? "*" : "",
               multipliers[i] ? fmt::format("{:.2f}", *multipliers[i]) : "-",
               cost[i] > 0 ? fmt::format("{:.4g}", 100 * accuracy[i] / (cost[i] / 1e9)) : "-"});
  std::vector<ChartPoint> points;
  for (std::size_t i = 0; i < rows.size(); ++i)
    points.push_back({report.models[rows[i]].name, cost[i], accuracy[i],
                      accuracy_of(report.tasks[t], report.models[rows[i]].outcomes[t]).standard_error, front[i]});
  return table.render() +
         "front: no other row is both cheaper and better. compute x: what the other rows would spend for this "
         "accuracy, over what this row spends.\n\n" +
         render_chart(points);
}

}  // namespace

std::string render_tables(const RunReport& report) {
  std::string out;
  for (std::size_t t = 0; t < report.tasks.size(); ++t) out += task_table(report, t) + group_tables(report, t);
  if (report.models.size() > 1) {
    out += gap_table(report);
    for (std::size_t t = 0; t < report.tasks.size(); ++t) out += curve_table(report, t);
  }
  if (!out.empty())
    out +=
        "GFLOPs/question: one forward pass per distinct context and answer, nothing reused; tokens/s counts those "
        "tokens too.\n"
        "reuse: tokens of those passes over tokens computed. SE: questions with one text in common count as a "
        "cluster.\n"
        "truncated: cut from the left to fit the model. too long, non-finite, match limit: counted as wrong. skipped: "
        "by "
        "--limit. ties: the first counts.\n";
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

// Tables on stdout.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "eval/report/chart.hpp"
#include "eval/report/checks.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"
#include "eval/report/standing.hpp"
#include "eval/report/verdict.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Whether the column holds the task's accuracy. Columns of a group are some of the task's, in any order.
bool is_accuracy(const PreparedTask& task, const MetricColumn& column) {
  const std::vector<MetricColumn>& all = task.spec.metrics;
  return has_accuracy(all) && column == all[headline_column(all)];
}

// The headline column of the task: its accuracy, else the first one.
std::size_t main_column(std::span<const MetricColumn> columns) {
  return has_accuracy(columns) ? headline_column(columns) : 0;
}

std::string with_unit(const MetricColumn& column) { return column.title() + (is_share(column.metric) ? " %" : ""); }

std::string value_text(Metric metric, const MetricValue& value) {
  if (std::isnan(value.value)) return "N/A";
  return is_share(metric) ? percent_form(value.value) : fmt::format("{:.4g}", value.value);
}
std::string error_text(Metric metric, const MetricValue& value) {
  if (!value.standard_error) return "N/A";
  return is_share(metric) ? percent_form(*value.standard_error) : fmt::format("{:.2g}", *value.standard_error);
}

// The columns beside that of the accuracy.
std::vector<std::size_t> extra_columns(const PreparedTask& task, std::span<const MetricColumn> columns) {
  std::vector<std::size_t> out;
  for (std::size_t c = 0; c < columns.size(); ++c)
    if (!is_accuracy(task, columns[c])) out.push_back(c);
  return out;
}

std::string headline(const PreparedTask& task, const TableOptions& options) {
  std::int64_t of_all = 0;
  for (const Subtask& s : task.subtasks) of_all += s.original_count;
  std::string text =
      inked(shown_name(task.spec.name), Ink::bold, options) + ": " + questions_form(task.question_count(), of_all);
  if (task.subtasks.size() > 1) text += fmt::format(" in {} subjects", task.subtasks.size());
  text += fmt::format(", {} shot{}", task.num_fewshot, task.num_fewshot == 1 ? "" : "s");
  return wrapped(text, options.columns) + "\n";
}

constexpr int kBarColumns = 20;
constexpr std::size_t kChartColumns = 80;  // a narrower terminal has tables alone

// 0 to 100 % in eighths of a column.
std::string bar(double share) {
  static constexpr const char* kParts[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * kBarColumns * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kParts[eighths % 8];
  for (int i = (eighths + 7) / 8; i < kBarColumns; ++i) out += "·";
  return out;
}

std::vector<std::string> row_of(const PreparedTask& task, const Standing& standing, std::size_t m,
                                const TaskOutcome& outcome, bool with_bars) {
  const Accuracy accuracy = accuracy_of(task, outcome);
  const auto& kinds = outcome.overall.kinds;
  const bool has_one = has_accuracy(task.spec.metrics);
  std::vector<std::string> row = {shown_name(standing.models[m]->name)};
  if (has_one) row.insert(row.end(), {percent_form(accuracy.value), percent_form(accuracy.standard_error)});
  if (has_one && with_bars) row.push_back(bar(accuracy.value));
  for (std::size_t at : extra_columns(task, kinds)) {
    const MetricValue& value = outcome.overall.metrics[at];
    row.insert(row.end(), {value_text(kinds[at].metric, value), error_text(kinds[at].metric, value)});
  }
  row.push_back(gflops_form(standing.cost[m]));
  if (standing.models.size() > 1 && has_one)
    row.insert(row.end(), {standing.front[m] ? "*" : "",
                           standing.multipliers[m] ? fmt::format("{:.2f}", *standing.multipliers[m]) : "-"});
  // The time is that of the computed answers, the tokens are those of all.
  const bool has_speed = outcome.stored_answers == 0 && outcome.seconds > 0;
  row.push_back(has_speed ? scaled_form(static_cast<double>(outcome.pass_tokens) / outcome.seconds) : "-");
  return row;
}

std::string remarks(const PreparedTask& task, const ModelRun& model, const TaskOutcome& outcome,
                    const TableOptions& options) {
  std::string out;
  // The normal error bar is inaccurate for few questions.
  const std::int64_t n = task.question_count();
  const auto interval = interval_of(accuracy_of(task, outcome), n);
  if (n < 100 && has_accuracy(task.spec.metrics) && interval)
    out += wrapped(fmt::format("{}: only {}, 95 % interval {} to {} % (Wilson)", shown_name(model.name),
                               questions_form(n), percent_form(interval->first), percent_form(interval->second)),
                   options.columns);
  if (outcome.stored_answers > 0)
    out += wrapped(fmt::format("{}: {} answers are from the cache, so there is no speed", shown_name(model.name),
                               count_form(outcome.stored_answers)),
                   options.columns);
  return out;
}

// Questions with problems.
std::string checks(const Standing& standing, std::size_t t, const TableOptions& options) {
  std::string found;
  for (const ModelRun* model : standing.models) {
    std::string counts;
    for (const Check& check : kChecks) {
      const std::int64_t count = model->outcomes[t].*check.count;
      if (count == 0 || check.count == &TaskOutcome::skipped) continue;  // the headline says how many were left out
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count_form(count), check.title);
    }
    if (!counts.empty()) found += (found.empty() ? "" : "; ") + shown_name(model->name) + ": " + counts;
  }
  return wrapped("Questions that were not plainly asked and answered: " + (found.empty() ? "none" : found),
                 options.columns);
}

TextTable answers(const PreparedTask& task, std::size_t t, const Standing& standing, bool with_bars) {
  const auto& metrics = task.spec.metrics;
  const auto& columns = standing.models.front()->outcomes[t].overall.kinds;  // as the rows have them
  std::vector<std::string> header = {"model"};
  if (has_accuracy(metrics)) header.insert(header.end(), {with_unit(metrics[main_column(metrics)]), "± SE"});
  if (has_accuracy(metrics) && with_bars) header.emplace_back("0 to 100 %");
  for (std::size_t extra : extra_columns(task, columns))
    header.insert(header.end(), {with_unit(columns[extra]), "± SE"});
  header.emplace_back("GFLOPs/question");
  if (standing.models.size() > 1 && has_accuracy(metrics)) header.insert(header.end(), {"front", "compute x"});
  header.emplace_back("tokens/s");
  TextTable table(header);
  for (std::size_t m = 0; m < standing.models.size(); ++m)
    table.add(row_of(task, standing, m, standing.models[m]->outcomes[t], with_bars));
  return table;
}

std::string task_table(const RunReport& report, std::size_t t, const TableOptions& options) {
  const PreparedTask& task = report.tasks[t];
  const Standing standing = standing_of(report, t);
  if (standing.models.empty()) return "";
  // Bars are for terminals that have room for them.
  TextTable table = answers(task, t, standing, options.is_terminal);
  if (options.is_terminal && table.width() > options.columns) table = answers(task, t, standing, false);
  std::string notes;
  for (const ModelRun* model : standing.models) notes += remarks(task, *model, model->outcomes[t], options);
  return headline(task, options) + table.render(options.columns) + notes + checks(standing, t, options) + "\n";
}

// What --verbose adds: memory, bytes, executed work, and every counter, zeros included.
std::string details(const RunReport& report, std::size_t t, const TableOptions& options) {
  const Standing standing = standing_of(report, t);
  const PreparedTask& task = report.tasks[t];
  if (standing.models.empty()) return "";
  const bool is_choice = has_accuracy(task.spec.metrics) && task.spec.kind == TaskKind::multiple_choice;
  std::vector<std::string> header = {"cost"};
  if (is_choice) header.emplace_back("corrected %");
  const bool has_intervals = t < report.multipliers.size() && report.multipliers[t].size() == report.models.size();
  if (has_intervals) header.emplace_back("compute x, 95 %");
  header.insert(header.end(), {"points/GFLOP", "GFLOPs/token", "active/total", "B/token", "resident B", "seconds",
                               "joules", "executed GFLOPs", "reuse"});
  TextTable costs(header);
  std::vector<std::string> counted = {"questions"};
  for (const Check& check : kChecks) counted.emplace_back(check.title);
  counted.insert(counted.end(), {"cached answers", "tokens asked", "tokens computed"});
  TextTable counters(counted);
  for (std::size_t m = 0; m < standing.models.size(); ++m) {
    const ModelRun& model = *standing.models[m];
    const TaskOutcome& o = model.outcomes[t];
    const ParameterCount parameters = count_parameters(model.info.config);
    std::vector<std::string> row = {shown_name(model.name)};
    if (is_choice) row.push_back(percent_form(chance_corrected(standing.accuracy[m], o.chance)));
    if (has_intervals) {
      const auto index = static_cast<std::size_t>(standing.models[m] - report.models.data());
      row.push_back(ends_form(report.multipliers[t][index].low, report.multipliers[t][index].high));
    }
    row.push_back(standing.cost[m] > 0 ? fmt::format("{:.4g}", 100 * standing.accuracy[m] / (standing.cost[m] / 1e9))
                                       : "-");
    row.push_back(gflops_form(static_cast<double>(weight_flops_per_token(model.info.config))));
    row.push_back(scaled_form(static_cast<double>(parameters.active_matmul)) + "/" +
                  scaled_form(static_cast<double>(parameters.total)));
    row.push_back(scaled_form(static_cast<double>(model.info.touched_bytes)));
    row.push_back(scaled_form(static_cast<double>(model.resident_bytes + model.session_bytes)));
    row.push_back(fmt::format("{:.1f}", o.seconds));
    row.push_back(o.joules ? significant_form(*o.joules) : "not measured");
    row.push_back(gflops_form(static_cast<double>(o.executed.total())));
    row.push_back(o.executed.tokens > 0 ? fmt::format("{:.2f}", static_cast<double>(o.pass_tokens) /
                                                                    static_cast<double>(o.executed.tokens))
                                        : "-");
    costs.add(row);
    row = {shown_name(model.name)};
    for (const Check& check : kChecks) row.push_back(std::to_string(o.*check.count));
    row.insert(row.end(),
               {std::to_string(o.stored_answers), std::to_string(o.pass_tokens), std::to_string(o.executed.tokens)});
    counters.add(row);
  }
  return costs.render(options.columns) + "\n" + counters.render(options.columns) + "\n";
}

// Accuracy with its error bar by group, a column per model; `rows_of` picks the rows of an outcome.
template <class RowsOf>
std::string rows_table(const RunReport& report, std::size_t t, const std::string& title, const TableOptions& options,
                       RowsOf rows_of) {
  std::vector<const ModelRun*> models;
  for (const ModelRun& model : report.models)
    if (t < model.outcomes.size() && rows_of(model.outcomes[t]).size() > 1) models.push_back(&model);
  if (models.empty()) return "";
  const auto& kinds = rows_of(models[0]->outcomes[t])[0].kinds;
  std::vector<std::string> header = {with_unit(kinds[main_column(kinds)]) + " ± SE by " + shown_name(title),
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
      row.push_back(value_text(metric, group.metrics[at]) + " ± " + error_text(metric, group.metrics[at]));
    }
    table.add(row);
  }
  return table.render(options.columns) + "\n";
}

// Groups of subjects (mmlu: stem, humanities, ...), then the fields of group_by.
std::string group_tables(const RunReport& report, std::size_t t, const TableOptions& options) {
  std::string out = rows_table(
      report, t, "group", options, [](const TaskOutcome& o) -> const auto& { return o.groups; });
  for (std::size_t f = 0; f < report.tasks[t].spec.group_by.size(); ++f)
    for (const ModelRun& model : report.models) {
      if (t >= model.outcomes.size() || f >= model.outcomes[t].breakdowns.size()) continue;
      out += rows_table(
          report, t, model.outcomes[t].breakdowns[f].field,
          options, [&](const TaskOutcome& o) -> const auto& { return o.breakdowns[f].rows; });
      break;
    }
  return out;
}

std::string gap_table(const RunReport& report, const TableOptions& options) {
  const std::vector<Comparison> comparisons = compare_models(report);
  if (comparisons.empty()) return "";
  std::vector<std::string> header = {"paired gap"};
  if (report.tasks.size() > 1) header.emplace_back("task");
  header.insert(header.end(), {"points", "± SE"});
  if (options.verbose) header.insert(header.end(), {"only A", "only B", "p (McNemar)"});
  header.insert(header.end(), {"p (Holm)", "MDE", "verdict"});
  TextTable table(header);
  for (const Comparison& c : comparisons) {
    const std::string a = shown_name(report.models[c.a].name), b = shown_name(report.models[c.b].name);
    std::vector<std::string> row = {a + " - " + b};
    if (report.tasks.size() > 1) row.push_back(shown_name(report.tasks[c.task].spec.name));
    row.insert(row.end(), {points_form(c.gap.gap), percent_form(c.gap.standard_error)});
    if (options.verbose)
      row.insert(row.end(), {std::to_string(c.gap.only_a), std::to_string(c.gap.only_b), p_form(c.gap.p_value)});
    row.push_back(p_form(c.adjusted_p));
    row.push_back(c.gap.standard_error ? percent_form(minimum_detectable_effect(*c.gap.standard_error)) : "N/A");
    row.emplace_back(!c.distinguishable() ? "not distinguishable"
                     : c.gap.gap > 0      ? "first is better"
                                          : "second is better");
    table.add(row);
  }
  return table.render(options.columns) +
         wrapped(fmt::format("Same questions for both; p after Holm over {} comparison{}; {}.", comparisons.size(),
                             comparisons.size() == 1 ? "" : "s", kMdeMeaning),
                 options.columns) +
         "\n";
}

std::string chart_of(const RunReport& report, std::size_t t) {
  if (!has_accuracy(report.tasks[t].spec.metrics)) return "";
  const Standing standing = standing_of(report, t);
  std::vector<std::size_t> order(standing.models.size());
  for (std::size_t m = 0; m < order.size(); ++m) order[m] = m;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return standing.cost[a] < standing.cost[b]; });
  std::vector<ChartPoint> points;
  for (std::size_t m : order)
    points.push_back({standing.models[m]->name, standing.cost[m], standing.accuracy[m],
                      accuracy_of(report.tasks[t], standing.models[m]->outcomes[t]).standard_error, standing.front[m]});
  return render_chart(points);
}

std::string legend(const RunReport& report, const TableOptions& options) {
  std::string out = wrapped(
      fmt::format("GFLOPs/question: {}; tokens/s counts those tokens too. SE, ±: standard error; questions with one "
                  "text in common count as a cluster.",
                  kFlopsMeaning),
      options.columns);
  if (report.models.size() > 1)
    out += wrapped(fmt::format("front: {}. {}.", kFrontMeaning, multiplier_meaning("compute x", "the other rows")),
                   options.columns);
  if (options.verbose)
    out +=
        wrapped(std::string("reuse: tokens of those passes over tokens computed. ") + kChecksMeaning, options.columns);
  return out;
}

std::string machine(const RunReport& report, const TableOptions& options) {
  if (!report.peaks) return "";
  const MachinePeaks& p = *report.peaks;
  return wrapped(fmt::format("This machine at its best, {} thread{}: {} int8 GOPS, {} float32 GFLOPS, {} GB/s out of "
                             "memory.",
                             p.threads, p.threads == 1 ? "" : "s", gflops_form(p.int8_ops), gflops_form(p.float_ops),
                             gflops_form(p.read_bytes)),
                 options.columns) +
         "\n\n";
}

}  // namespace

std::string render_tables(const RunReport& report, const TableOptions& wanted) {
  TableOptions options = wanted;
  options.columns = std::max<std::size_t>(wanted.columns, 40);
  std::string out;
  for (std::size_t t = 0; t < report.tasks.size(); ++t) {
    out += task_table(report, t, options);
    if (options.verbose) out += details(report, t, options);
    out += group_tables(report, t, options);
  }
  if (report.models.size() > 1) {
    out += gap_table(report, options);
    for (std::size_t t = 0; t < report.tasks.size() && options.columns >= kChartColumns; ++t)
      out += chart_of(report, t);
  }
  return out.empty() ? out : render_verdict(report, options) + out + machine(report, options) + legend(report, options);
}

}  // namespace moe::inline MOE_ABI::eval

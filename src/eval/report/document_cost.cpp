// Accuracy and cost of each model.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "eval/report/sentences.hpp"
#include "moe/eval/statistics.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// The row of the whole task: the one with its name, else the last group.
const read::Row* whole_row(const read::Task& task, std::size_t& index) {
  for (std::size_t i = task.rows.size(); i-- > 0;)
    if (task.rows[i].name == task.name) {
      index = i;
      return &task.rows[i];
    }
  if (task.rows.empty()) return nullptr;
  index = task.rows.size() - 1;
  return &task.rows.back();
}

// Metrics beside the accuracy, in the order of the first result.
std::vector<std::string> metric_keys(const Section& section) {
  std::size_t index = 0;
  std::vector<std::string> out;
  const read::Task& first = *section.results[0].of_task;
  const read::Row* row = whole_row(first, index);
  if (row == nullptr || row->metrics.empty()) return out;
  const std::string& of_accuracy = first.accuracy_metric.empty() ? row->metrics[0].key : first.accuracy_metric;
  for (std::size_t m = 0; m < row->metrics.size(); ++m)
    // The accuracy is already in an earlier column.
    if (!first.accuracy || row->metrics[m].key != of_accuracy) out.push_back(row->metrics[m].key);
  return out;
}

void add_metric(std::vector<Cell>& row, const ModelResult& result, const std::string& key) {
  std::size_t index = 0;
  const read::Row* whole = whole_row(*result.of_task, index);
  const read::Metric* found = nullptr;
  for (std::size_t m = 0; whole != nullptr && m < whole->metrics.size(); ++m)
    if (whole->metrics[m].key == key) found = &whole->metrics[m];
  if (found == nullptr) {
    row.insert(row.end(), {nothing(), nothing()});
    return;
  }
  const std::string at = fmt::format("{}/rows/{}/metrics/{}", result.at(), index, pointer_step(key));
  row.push_back(metric_cell(key, found->value, at + "/value"));
  row.push_back(metric_cell(key, found->standard_error, at + "/standard_error"));
}

bool has_intervals(const Section& section) {
  return std::any_of(section.results.begin(), section.results.end(),
                     [](const ModelResult& r) { return r.multiplier.low || r.multiplier.high; });
}

std::vector<Cell> result_row(const ModelResult& r, const Section& section, const std::vector<std::string>& keys) {
  const read::Task& task = *r.of_task;
  std::vector<Cell> row = {word(r.label)};
  if (section.has_accuracy()) {
    row.push_back(task.accuracy ? percent_cell(*task.accuracy, r.at() + "/accuracy") : nothing());
    row.push_back(task.standard_error ? percent_cell(*task.standard_error, r.at() + "/standard_error") : nothing());
    row.push_back(interval_cell(task.interval, r.at() + "/interval_95", false));
    row.push_back(task.chance_corrected ? percent_cell(*task.chance_corrected, r.at() + "/chance_corrected")
                                        : nothing());
  }
  for (const std::string& key : keys) add_metric(row, r, key);
  row.push_back(significant_cell(task.flops_per_question, r.at() + "/model_flops_per_question", 1e-9));
  if (section.results.size() > 1 && section.has_accuracy()) {
    row.push_back(word(r.front ? "front" : ""));
    row.push_back(r.multiplier.value ? Cell{significant_form(*r.multiplier.value), exact_form(*r.multiplier.value)}
                                     : nothing());
    if (has_intervals(section)) row.push_back(word(ends_form(r.multiplier.low, r.multiplier.high)));
  }
  if (r.front && section.results.size() > 1) row[0].mark = "front";
  return row;
}

std::string reference_of(const Section& section) {
  const std::vector<std::string>& names = section.results[0].of_task->reference;
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out.empty() ? "the other rows" : out;
}

// One more picture of accuracy, against something that was measured for every question.
using CostOf = std::function<std::optional<double>(const ModelResult&)>;

// Variants of one model, "name[top_k=4]": equal values are omitted.
void shorten_labels(std::vector<Point>& points) {
  std::string shared;
  for (const Point& p : points) {
    const std::size_t at = p.label.find('[');
    if (at == std::string::npos || at == 0 || !p.label.ends_with(']')) return;
    if (&p != &points[0] && p.label.substr(0, at) != shared) return;
    shared = p.label.substr(0, at);
  }
  for (Point& p : points) p.label = p.label.substr(shared.size() + 1, p.label.size() - shared.size() - 2);
}

std::vector<Point> points_of(const Section& section, const CostOf& cost) {
  std::vector<Point> out;
  for (const ModelResult& r : section.results) {
    const auto x = cost(r);
    if (!x || !r.of_task->accuracy) continue;
    const double y = *r.of_task->accuracy;
    const auto [low, high] = r.of_task->interval.value_or(std::pair{y, y});
    out.push_back({r.label, *x, y, low, high, false});
  }
  shorten_labels(out);
  std::vector<double> x, y;
  for (const Point& p : out) x.push_back(p.x), y.push_back(p.y);
  const std::vector<bool> front = pareto_front(x, y);
  for (std::size_t i = 0; i < out.size(); ++i) out[i].front = front[i];
  return out;
}

// Time and energy are those of the answers that were computed.
bool is_timed(const ModelResult& r) { return r.of_task->stored_answers == 0; }

void add_cost_pictures(ReportDocument& out, const Section& section, Painter& painter) {
  const auto questions = static_cast<double>(section.questions);
  struct Axis {
    const char *x_title, *what;
    CostOf cost;
  };
  const Axis axes[] = {
      {"GFLOPs per question (log)", "compute",
       [](const ModelResult& r) { return std::optional(r.of_task->flops_per_question / 1e9); }},
      {"MB of weights per question, token by token (log)", "bytes of weights",
       [](const ModelResult& r) {
         const auto bytes = r.of_task->weight_bytes_per_question;
         return bytes ? std::optional(*bytes / 1e6) : std::nullopt;
       }},
      {"seconds per question (log)", "time",
       [&](const ModelResult& r) {
         return is_timed(r) ? std::optional(r.of_task->seconds / questions) : std::nullopt;
       }},
      {"joules per question (log)", "energy",
       [&](const ModelResult& r) {
         return is_timed(r) && r.of_task->joules ? std::optional(*r.of_task->joules / questions) : std::nullopt;
       }},
  };
  bool first = true;
  for (const Axis& axis : axes) {
    const std::string title = fmt::format("{}: accuracy against {}", section.title, axis.what);
    std::string caption = fmt::format("Accuracy against {}.", axis.what);
    if (std::exchange(first, false))
      caption += fmt::format(
          " Bars are 95 % intervals. Filled: on the front, {}. Dashed: the best that can be had for so much.",
          kFrontMeaning);
    out.picture(painter.scatter(title, axis.x_title, points_of(section, axis.cost)), caption);
  }
}

// Cost per token, independent of the questions.
Table model_table(const Section& section) {
  Table table;
  table.caption = "Cost of a token";
  table.columns = {{"model", false},  {"GFLOPs / token"}, {"active parameters, M"},
                   {"parameters, M"}, {"MB / token"},     {"in memory, MB"}};
  for (const ModelResult& r : section.results) {
    const read::Model& m = *r.of_model;
    const std::string at = r.model_at();
    table.rows.push_back({word(r.label),
                          significant_cell(m.weight_flops_per_token, at + "/weight_flops_per_token", 1e-9),
                          significant_cell(m.active_parameters, at + "/active_parameters", 1e-6),
                          significant_cell(m.total_parameters, at + "/total_parameters", 1e-6),
                          significant_cell(m.weight_bytes_per_token, at + "/weight_bytes_per_token", 1e-6),
                          significant_cell(m.resident_bytes, at + "/resident_bytes", 1e-6)});
  }
  return table;
}

// Cost of this exam.
Table run_table(const Section& section, bool has_bytes, bool has_joules) {
  Table table;
  table.caption = "Cost of the exam";
  table.columns = {{"model", false}, {"GFLOPs / question"}};
  if (has_bytes) table.columns.push_back({"MB / question"});
  table.columns.insert(table.columns.end(), {{"tokens asked"}, {"tokens computed"}, {"executed GFLOPs"}, {"seconds"}});
  if (has_joules) table.columns.push_back({"joules"});
  for (const ModelResult& r : section.results) {
    const read::Task& task = *r.of_task;
    const std::string at = r.at();
    std::vector<Cell> row = {word(r.label),
                             significant_cell(task.flops_per_question, at + "/model_flops_per_question", 1e-9)};
    if (has_bytes)
      row.push_back(task.weight_bytes_per_question
                        ? significant_cell(*task.weight_bytes_per_question, at + "/weight_bytes_per_question", 1e-6)
                        : nothing());
    row.push_back(count_cell(task.tokens, at + "/model_tokens"));
    row.push_back(count_cell(task.executed_tokens, at + "/executed/tokens"));
    row.push_back(significant_cell(task.executed_flops, at + "/executed/total", 1e-9));
    row.push_back(significant_cell(task.seconds, at + "/seconds"));
    if (has_joules) row.push_back(task.joules ? significant_cell(*task.joules, at + "/joules") : word("not measured"));
    table.rows.push_back(std::move(row));
  }
  return table;
}

// Whose answers were not all computed in this run.
std::string from_the_cache(const Section& section) {
  std::string out;
  for (const ModelResult& r : section.results)
    if (!is_timed(r))
      out += fmt::format("{}{}: {}", out.empty() ? " Answers from the cache, which took no time: " : "; ", r.label,
                         count_form(r.of_task->stored_answers));
  return out.empty() ? out : out + ".";
}

}  // namespace

void add_results(ReportDocument& out, const Section& section) {
  const std::vector<std::string> keys = metric_keys(section);
  Table table;
  table.caption = "Results";
  table.columns = {{"model", false}};
  if (section.has_accuracy())
    table.columns.insert(table.columns.end(),
                         {{"accuracy, %"}, {"\xC2\xB1 SE"}, {"95 % interval"}, {"above chance, %"}});
  for (const std::string& key : keys) {
    table.columns.push_back({metric_title(key)});
    table.columns.push_back({"\xC2\xB1 SE"});
  }
  table.columns.push_back({"GFLOPs / question"});
  if (section.results.size() > 1 && section.has_accuracy())
    table.columns.insert(table.columns.end(), {{"front", false}, {"compute \xC3\x97"}});
  if (section.results.size() > 1 && section.has_accuracy() && has_intervals(section))
    table.columns.push_back({"95 % of it"});
  for (const ModelResult& r : section.results) table.rows.push_back(result_row(r, section, keys));
  out.table(std::move(table));
  if (section.results.size() > 1 && section.has_accuracy())
    out.add(Block::Kind::small, "Above chance: 0 is guessing, 100 is perfect. " +
                                    multiplier_meaning("Compute \xC3\x97", reference_of(section)) +
                                    "; above 1 it is the cheaper way. Its interval: 2,000 bootstrap samples of "
                                    "questions; an end is open where the "
                                    "others' front does not reach.");
}

void add_costs(ReportDocument& out, const Section& section, Painter& painter) {
  out.heading(3, "What it cost");
  if (section.has_accuracy()) add_cost_pictures(out, section, painter);
  const auto any = [&](auto member) {
    return std::any_of(section.results.begin(), section.results.end(),
                       [&](const ModelResult& r) { return (r.of_task->*member).has_value(); });
  };
  const bool has_bytes = any(&read::Task::weight_bytes_per_question), has_joules = any(&read::Task::joules);
  out.table(run_table(section, has_bytes, has_joules));
  out.table(model_table(section));
  out.add(Block::Kind::small,
          fmt::format("GFLOPs per question: {}; 2 per multiply-add. MB per token: weights that decoding one token "
                      "reads; per question: if each token were computed alone. Executed: what this run computed, "
                      "prefixes shared.",
                      kFlopsMeaning) +
              (has_joules ? "" : " Energy was not measured.") + from_the_cache(section));
}

}  // namespace moe::inline MOE_ABI::eval

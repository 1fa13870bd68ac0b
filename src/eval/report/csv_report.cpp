// All numbers of the runs in one table: a line per result, subject or gap, in full precision.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// In the order of the columns; fields without a number are empty.
struct Line {
  std::string kind, file, model, task, other, field, name, metric, value, standard_error, low, high;
  std::string questions, shots, p_mcnemar, p_holm, mde, needed, distinguishable;
  std::string flops, flops_per_question, flops_per_token, bytes_per_token, bytes_per_question, tokens, executed_flops;
  std::string stored_answers, seconds, joules, checks[std::size(kChecks)];
};

std::string optional(const std::optional<double>& x) { return x ? exact_form(*x) : std::string(); }

std::string text_of(const Line& l) {
  std::vector<std::string> fields;
  for (const std::string* text : {&l.kind, &l.file, &l.model, &l.task, &l.other, &l.field, &l.name, &l.metric})
    fields.push_back(csv_escaped(*text));
  // Our own numbers: a leading minus sign is not a formula.
  for (const std::string* number : {&l.value,
                                    &l.standard_error,
                                    &l.low,
                                    &l.high,
                                    &l.questions,
                                    &l.shots,
                                    &l.p_mcnemar,
                                    &l.p_holm,
                                    &l.mde,
                                    &l.needed,
                                    &l.distinguishable,
                                    &l.flops,
                                    &l.flops_per_question,
                                    &l.flops_per_token,
                                    &l.bytes_per_token,
                                    &l.bytes_per_question,
                                    &l.tokens,
                                    &l.executed_flops,
                                    &l.stored_answers,
                                    &l.seconds,
                                    &l.joules})
    fields.push_back(*number);
  for (const std::string& check : l.checks) fields.push_back(check);
  return fmt::format("{}\r\n", fmt::join(fields, ","));
}

void set_interval(Line& line, const read::Interval& interval) {
  if (!interval) return;
  line.low = exact_form(interval->first), line.high = exact_form(interval->second);
}

Line result_line(const read::Run& run, const read::Model& model, const read::Task& task) {
  Line l;
  l.kind = "result", l.file = run.file, l.model = model.name, l.task = task.name, l.metric = "accuracy";
  l.value = optional(task.accuracy), l.standard_error = optional(task.standard_error);
  set_interval(l, task.interval);
  l.questions = std::to_string(task.questions), l.shots = std::to_string(task.shots);
  l.flops = std::to_string(task.model_flops);
  l.flops_per_question = exact_form(task.flops_per_question);
  l.flops_per_token = std::to_string(model.weight_flops_per_token);
  l.bytes_per_token = std::to_string(model.weight_bytes_per_token);
  l.bytes_per_question = optional(task.weight_bytes_per_question);
  l.tokens = std::to_string(task.tokens), l.executed_flops = std::to_string(task.executed_flops);
  l.stored_answers = std::to_string(task.stored_answers);
  l.seconds = exact_form(task.seconds), l.joules = optional(task.joules);
  for (std::size_t c = 0; c < task.checks.size(); ++c) l.checks[c] = std::to_string(task.checks[c]);
  return l;
}

std::string multiplier_line(const read::Run& run, const read::Model& model, const read::Task& task) {
  if (!task.multiplier || !task.multiplier->value) return "";
  Line l;
  l.kind = "multiplier", l.file = run.file, l.model = model.name, l.task = task.name, l.metric = "compute";
  l.other = fmt::format("{}", fmt::join(task.reference, ","));
  l.value = optional(task.multiplier->value);
  l.low = optional(task.multiplier->low), l.high = optional(task.multiplier->high);
  return text_of(l);
}

std::string row_lines(const read::Run& run, const read::Model& model, const read::Task& task, const read::Row& row,
                      const std::string& kind, const std::string& field) {
  std::string out;
  for (const read::Metric& metric : row.metrics) {
    Line l;
    l.kind = kind, l.file = run.file, l.model = model.name, l.task = task.name, l.field = field, l.name = row.name;
    l.metric = metric.key, l.value = optional(metric.value), l.standard_error = optional(metric.standard_error);
    l.questions = std::to_string(row.questions);
    if (row.model_flops) l.flops = std::to_string(*row.model_flops);
    out += text_of(l);
  }
  return out;
}

std::string gap_line(const read::Run& run, const read::Comparison& c, const read::Gap& gap, const std::string& field) {
  Line l;
  l.kind = "gap", l.file = run.file, l.model = c.a, l.other = c.b, l.task = c.task, l.field = field, l.name = gap.name;
  l.metric = "accuracy", l.value = exact_form(gap.gap), l.standard_error = optional(gap.standard_error);
  set_interval(l, gap.interval);
  if (gap.questions) l.questions = std::to_string(*gap.questions);
  if (gap.questions_needed) l.needed = std::to_string(*gap.questions_needed);
  l.p_mcnemar = exact_form(gap.p), l.p_holm = exact_form(gap.p_holm), l.mde = optional(gap.mde);
  l.distinguishable = gap.distinguishable ? "true" : "false";
  return text_of(l);
}

// Interval and p (a confidence sequence, an anytime-valid p) allow for the early stop; those of "gap" do not.
std::string pair_line(const read::Run& run, const PairVerdict& pair) {
  Line l;
  l.kind = "until_known", l.file = run.file, l.model = run.models[pair.a].name, l.other = run.models[pair.b].name;
  l.name = std::string(name_of(pair.verdict)), l.metric = "accuracy", l.value = exact_form(pair.gap);
  l.low = exact_form(pair.lower), l.high = exact_form(pair.upper);
  l.questions = std::to_string(pair.questions);
  l.distinguishable = pair.verdict == Verdict::a_better || pair.verdict == Verdict::b_better ? "true" : "false";
  return text_of(l);
}

std::string family_line(const read::Run& run, const read::FamilyFinding& f) {
  Line l;
  l.kind = "family", l.file = run.file, l.task = f.task, l.model = f.a, l.other = f.b, l.metric = "accuracy";
  l.value = exact_form(f.gap.gap), l.standard_error = exact_form(f.gap.standard_error);
  l.low = exact_form(f.gap.low), l.high = exact_form(f.gap.high);
  l.distinguishable = f.gap.distinguishable() ? "true" : "false";
  return text_of(l);
}

}  // namespace

std::string csv_report(const std::vector<read::Run>& runs) {
  std::string out =
      "kind,file,model,task,compared_with,by,name,metric,value,standard_error,low_95,high_95,questions,num_fewshot,"
      "p_mcnemar,p_holm,minimum_detectable_effect,questions_needed,distinguishable,model_flops,"
      "model_flops_per_question,weight_flops_per_token,weight_bytes_per_token,weight_bytes_per_question,model_tokens,"
      "executed_flops,stored_answers,seconds,joules";
  for (const Check& check : kChecks) out += fmt::format(",{}", check.key);
  out += "\r\n";
  for (const read::Run& run : runs) {
    for (const read::Model& model : run.models)
      for (const read::Task& task : model.tasks) {
        out += text_of(result_line(run, model, task)) + multiplier_line(run, model, task);
        for (const read::Row& row : task.rows)
          out += row_lines(run, model, task, row, row.is_group ? "group" : "subtask", "");
        for (const read::Breakdown& by : task.by)
          for (const read::Row& row : by.rows) out += row_lines(run, model, task, row, "by", by.field);
      }
    for (const read::Comparison& c : run.comparisons) {
      out += gap_line(run, c, c, "");
      for (const read::Comparison::By& by : c.by)
        for (const read::Gap& gap : by.rows) out += gap_line(run, c, gap, by.field);
    }
    if (run.until_known)
      for (const PairVerdict& pair : run.until_known->pairs) out += pair_line(run, pair);
    for (const read::FamilyFinding& f : run.family_gaps) out += family_line(run, f);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

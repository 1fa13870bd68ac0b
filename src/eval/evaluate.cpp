// Evaluates one model on one task: requests, scores, rows of the result.

#include "moe/eval/evaluate.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "eval/run/run_meter.hpp"
#include "eval/tasks/question.hpp"
#include "eval/tasks/subjects.hpp"

namespace moe::inline MOE_ABI::eval {

Work LanguageModel::pass_work(std::int64_t, std::int64_t, std::int64_t) const { return {}; }
Work LanguageModel::executed() const { return {}; }
ExpertLoad LanguageModel::expert_load() const { return {}; }
Result<std::vector<Generation>> LanguageModel::generate(std::span<const GenerateRequest>, const Hooks&) {
  return fail(ErrorCode::unsupported, "this model scores answers and writes none");
}
Result<std::vector<Score>> LanguageModel::score_texts(std::span<const TextRequest>, const Hooks&) {
  return fail(ErrorCode::unsupported, "this model scores answers and no whole texts");
}
Work LanguageModel::text_work(std::int64_t, std::int64_t) const { return {}; }

namespace {

tl::unexpected<Error> cancelled() { return fail(ErrorCode::cancelled, "evaluation was cancelled"); }

// acc_mutual_info also needs every answer after an empty context.
bool asks_answers_alone(const TaskSpec& task) {
  return column_of(task.metrics, Metric::acc_mutual_info) < task.metrics.size();
}

// The part of the list of answers that belongs to one question.
std::size_t request_count(const TaskSpec& task, const Document& document) {
  if (task.kind == TaskKind::generation || task.kind == TaskKind::rolling) return 1;
  return document.continuations.size() * (asks_answers_alone(task) ? 2 : 1);
}

// A question, and which of ExpertLoad::tallies counts its experts.
struct Asked {
  const Document* document;
  std::int32_t tally;
};

std::vector<ScoreRequest> requests_of(const TaskSpec& task, const std::vector<Asked>& questions) {
  std::vector<ScoreRequest> requests;
  for (const Asked& asked : questions) {
    const Document& document = *asked.document;
    for (std::size_t i = 0; i < document.continuations.size(); ++i)
      requests.push_back({document.context_of(i), document.continuations[i], document.question.id, asked.tally});
    for (std::size_t i = 0; i < document.continuations.size() && asks_answers_alone(task); ++i)
      requests.push_back({{}, document.continuations[i], document.question.id, asked.tally});
  }
  return requests;
}

std::vector<TextRequest> texts_of(const std::vector<Asked>& questions) {
  std::vector<TextRequest> requests;
  for (const Asked& asked : questions)
    requests.push_back({asked.document->contexts[0], asked.document->question.id, asked.tally});
  return requests;
}

std::vector<GenerateRequest> generate_requests_of(const TaskSpec& task, const std::vector<Asked>& questions) {
  std::vector<GenerateRequest> requests;
  for (const Asked& asked : questions)
    requests.push_back({asked.document->contexts[0], task.generation.until, task.generation.max_tokens,
                        asked.document->question.id, task.generation.think_end, asked.tally});
  return requests;
}

// Model FLOPs: every distinct pass of the question once, logits at its scored positions only.
void count_work(const LanguageModel& model, TaskKind kind, DocumentOutcome& document) {
  if (kind == TaskKind::rolling) {
    document.pass_tokens = document.scores[0].pass_tokens;
    document.flops = model.text_work(document.scores[0].continuation_tokens, document.scores[0].pass_experts).total();
    return;
  }
  struct Pass {
    std::int64_t tokens = 0, rows = 0, experts = -1;  // rows: scored positions
  };
  std::map<std::int64_t, Pass> passes;
  for (const Score& score : document.scores) {
    if (score.failure == Failure::too_long) continue;
    Pass& pass = passes[score.pass];
    pass.tokens = score.pass_tokens;
    pass.rows = std::max<std::int64_t>(pass.rows, score.continuation_tokens);
    pass.experts = score.pass_experts;
  }
  for (const auto& [key, pass] : passes) {
    document.pass_tokens += pass.tokens;
    document.flops += model.pass_work(pass.tokens, pass.rows, pass.experts).total();
  }
  if (document.reply && document.reply->failure != Failure::too_long) {
    document.pass_tokens = document.reply->pass_tokens;
    const Generation& reply = *document.reply;
    document.flops = model.pass_work(reply.pass_tokens, reply.generated_tokens, reply.pass_experts).total();
  }
}

// One metric over questions. A question that failed is wrong, but it has no log-likelihood.
MetricValue aggregate_column(const std::vector<const DocumentOutcome*>& documents, Metric metric, std::size_t at,
                             const EvaluateOptions& options) {
  std::vector<double> values;
  std::vector<std::int64_t> sizes;
  for (const DocumentOutcome* d : documents) {
    if (!is_share(metric) && d->failure != Failure::none) continue;
    values.push_back(d->metrics[at]);
    sizes.push_back(metric == Metric::word_perplexity ? d->words : d->bytes);
  }
  const bool of_texts =
      metric == Metric::word_perplexity || metric == Metric::byte_perplexity || metric == Metric::bits_per_byte;
  return of_texts ? aggregate_texts(metric, values, sizes)
                  : aggregate(metric, values, options.bootstrap_count, options.threads, options.hooks.cancelled);
}

void add_work(const std::vector<const DocumentOutcome*>& documents, Aggregate& row) {
  for (const DocumentOutcome* d : documents) row.model_flops += d->flops, row.pass_tokens += d->pass_tokens;
}

std::vector<const DocumentOutcome*> pointers(const std::vector<DocumentOutcome>& documents) {
  std::vector<const DocumentOutcome*> out;
  for (const DocumentOutcome& d : documents) out.push_back(&d);
  return out;
}

// The question's first failure, if any.
Failure failure_of(std::span<const Score> scores) {
  for (const Score& s : scores)
    if (s.failure != Failure::none) return s.failure;
  return Failure::none;
}

// The metrics of a question; wrong if one of its requests failed.
Result<DocumentOutcome> outcome_of(const TaskSpec& task, const Document& document, std::vector<Score> scores) {
  const Failure failure = failure_of(scores);
  if (failure == Failure::none) return score_document(task, document, std::move(scores));
  DocumentOutcome out;
  out.metrics.assign(task.metrics.size(), 0.0);
  out.scores = std::move(scores);
  out.failure = failure;
  return out;
}
Result<DocumentOutcome> outcome_of(const TaskSpec& task, const Document& document, Generation reply) {
  if (reply.failure == Failure::none) return score_reply(task, document, std::move(reply));
  DocumentOutcome out;
  out.metrics.assign(task.metrics.size(), 0.0);
  out.filtered.resize(task.filters.size());
  out.failure = reply.failure;
  out.reply = std::move(reply);
  return out;
}

void count_flags(const DocumentOutcome& document, TaskOutcome& outcome) {
  const auto any = [&](bool Score::*flag) {
    return std::any_of(document.scores.begin(), document.scores.end(), [&](const Score& s) { return s.*flag; });
  };
  outcome.truncated += any(&Score::truncated) || (document.reply && document.reply->truncated);
  outcome.reencoded += any(&Score::reencoded);
  outcome.tied += document.tied;
  outcome.too_long += document.failure == Failure::too_long;
  outcome.non_finite += document.failure == Failure::non_finite;
  outcome.match_limit += document.failure == Failure::match_limit;
}

std::size_t index_of(const TaskSpec& spec, const MetricColumn& column) {
  return static_cast<std::size_t>(
      std::find_if(spec.metrics.begin(), spec.metrics.end(),
                   [&](const MetricColumn& c) { return c.metric == column.metric && c.filter == column.filter; }) -
      spec.metrics.begin());
}

// The group that holds the given subtasks, averaged over questions.
Aggregate pool_group(const TaskSpec& spec, const TaskOutcome& outcome, const std::vector<std::size_t>& members) {
  Aggregate group;
  group.is_group = true;
  group.kinds = spec.group_metrics;
  std::vector<std::int64_t> counts;
  for (std::size_t m : members) {
    counts.push_back(outcome.subtasks[m].question_count);
    group.question_count += counts.back();
    group.model_flops += outcome.subtasks[m].model_flops, group.pass_tokens += outcome.subtasks[m].pass_tokens;
  }
  for (const MetricColumn& column : group.kinds) {
    const std::size_t at = index_of(spec, column);
    std::vector<MetricValue> parts;
    for (std::size_t m : members) parts.push_back(outcome.subtasks[m].metrics[at]);
    group.metrics.push_back(pool(parts, counts));
  }
  return group;
}

// All subtasks have equal weight; the standard error is still the pooled one, as in the reference harness.
void average_subtasks(const TaskSpec& spec, const TaskOutcome& outcome, const std::vector<std::size_t>& members,
                      Aggregate& group) {
  for (std::size_t k = 0; k < group.kinds.size(); ++k) {
    double sum = 0, count = 0;
    for (std::size_t m : members) {
      const double value = outcome.subtasks[m].metrics[index_of(spec, group.kinds[k])].value;
      if (!std::isnan(value)) sum += value, ++count;
    }
    if (count > 0) group.metrics[k].value = sum / count;
  }
}

void add_rows(const PreparedTask& task, const EvaluateOptions& options, TaskOutcome& outcome) {
  const TaskSpec& spec = task.spec;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) {
    const auto documents = pointers(outcome.documents[s]);
    Aggregate row{task.subtasks[s].name,
                  task.subtasks[s].alias,
                  false,
                  static_cast<std::int64_t>(documents.size()),
                  spec.metrics,
                  {}};
    add_work(documents, row);
    for (std::size_t m = 0; m < spec.metrics.size(); ++m)
      row.metrics.push_back(aggregate_column(documents, spec.metrics[m].metric, m, options));
    outcome.subtasks.push_back(std::move(row));
  }
  if (spec.subtask_name.empty()) {
    outcome.overall = outcome.subtasks.front();
    return;
  }
  std::vector<std::size_t> all;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) all.push_back(s);
  for (const GroupSpec& spec_group : spec.groups) {
    std::vector<std::size_t> members;
    for (std::size_t s : all)
      if (std::find(spec_group.subjects.begin(), spec_group.subjects.end(), task.subtasks[s].subject) !=
          spec_group.subjects.end())
        members.push_back(s);
    if (members.empty()) continue;
    Aggregate group = pool_group(spec, outcome, members);
    group.name = spec_group.name, group.alias = spec_group.alias;
    if (!spec_group.weight_by_size) average_subtasks(spec, outcome, members, group);
    outcome.groups.push_back(std::move(group));
  }
  outcome.overall = pool_group(spec, outcome, all);
  outcome.overall.name = spec.name, outcome.overall.alias = spec.alias;
  outcome.groups.push_back(outcome.overall);
}

// Numbers in ascending order, then other values in order of appearance; questions without a value last.
void order_values(std::vector<std::string>& values) {
  const auto rank = [](const std::string& value) {
    double number = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool is_number = read.ec == std::errc{} && read.ptr == value.data() + value.size();
    return is_number ? std::pair{0, number} : std::pair{value == "-" ? 2 : 1, 0.0};
  };
  std::stable_sort(values.begin(), values.end(),
                   [&](const std::string& a, const std::string& b) { return rank(a) < rank(b); });
}

// The values of a field, and the questions that have each.
struct Values {
  std::vector<std::string> in_order;
  std::map<std::string, std::vector<const DocumentOutcome*>> members;
};

// One table per field of group_by, except fields with a single value.
Result<void> add_breakdowns(const PreparedTask& task, const EvaluateOptions& options, TaskOutcome& outcome) {
  const std::vector<std::string>& names = task.spec.group_by;
  std::vector<Values> values(names.size());
  for (std::size_t s = 0; s < task.subtasks.size() && !names.empty(); ++s)
    for (std::size_t d = 0; d < task.subtasks[s].documents.size(); ++d) {
      if (options.hooks.cancelled && options.hooks.cancelled()) return cancelled();
      const auto fields = QuestionFields::read(task.subtasks[s].documents[d].question);
      if (!fields) return forward(fields);
      for (std::size_t f = 0; f < names.size(); ++f) {
        const std::string value = fields->text(names[f]).value_or("-");
        auto& members = values[f].members[value];
        if (members.empty()) values[f].in_order.push_back(value);
        members.push_back(&outcome.documents[s][d]);
      }
    }
  for (std::size_t f = 0; f < names.size(); ++f) {
    if (values[f].in_order.size() < 2) continue;
    order_values(values[f].in_order);
    Breakdown breakdown{names[f], {}};
    for (const std::string& value : values[f].in_order) {
      const auto& of_value = values[f].members[value];
      Aggregate row{value, value, true, static_cast<std::int64_t>(of_value.size()), task.spec.metrics, {}};
      add_work(of_value, row);
      for (std::size_t m = 0; m < task.spec.metrics.size(); ++m)
        row.metrics.push_back(aggregate_column(of_value, task.spec.metrics[m].metric, m, options));
      breakdown.rows.push_back(std::move(row));
    }
    outcome.breakdowns.push_back(std::move(breakdown));
  }
  return {};
}

}  // namespace

Result<std::vector<DocumentOutcome>> answer(const PreparedTask& task, std::span<const QuestionIndex> questions,
                                            LanguageModel& model, const Hooks& hooks,
                                            std::span<const std::int32_t> tallies) {
  std::vector<Asked> asked;
  for (const QuestionIndex& q : questions)
    asked.push_back(
        {&task.subtasks[q.subtask].documents[q.document], asked.size() < tallies.size() ? tallies[asked.size()] : 0});
  const bool writes = task.spec.kind == TaskKind::generation;
  auto scores = writes                                ? std::vector<Score>()
                : task.spec.kind == TaskKind::rolling ? model.score_texts(texts_of(asked), hooks)
                                                      : model.score(requests_of(task.spec, asked), hooks);
  if (!scores) return forward(scores);
  auto replies = writes ? model.generate(generate_requests_of(task.spec, asked), hooks) : std::vector<Generation>();
  if (!replies) return forward(replies);

  std::vector<DocumentOutcome> out;
  std::size_t next = 0;
  for (const Asked& one : asked) {
    const Document* document = one.document;
    // Filters may be slow, so Ctrl-C must end them.
    if (hooks.cancelled && hooks.cancelled()) return cancelled();
    const std::size_t count = request_count(task.spec, *document);
    const auto first = scores->begin() + static_cast<std::ptrdiff_t>(writes ? 0 : next);
    auto scored = writes ? outcome_of(task.spec, *document, std::move((*replies)[next]))
                         : outcome_of(task.spec, *document,
                                      std::vector<Score>(first, first + static_cast<std::ptrdiff_t>(count)));
    if (!scored) return forward(scored);
    next += count;
    scored->words = document->words, scored->bytes = document->bytes;
    count_work(model, task.spec.kind, *scored);
    out.push_back(std::move(*scored));
  }
  return out;
}

Result<TaskOutcome> summarise_answers(const PreparedTask& task, std::vector<DocumentOutcome> answers,
                                      const EvaluateOptions& options) {
  const auto is_cancelled = [&] { return options.hooks.cancelled && options.hooks.cancelled(); };
  if (static_cast<std::int64_t>(answers.size()) != task.question_count())
    return fail(ErrorCode::bad_argument, "task '" + task.spec.name + "': " + std::to_string(answers.size()) +
                                             " answers to " + std::to_string(task.question_count()) + " questions");
  TaskOutcome outcome;
  std::size_t next = 0;
  for (const Subtask& subtask : task.subtasks) {
    auto& documents = outcome.documents.emplace_back();
    outcome.skipped += subtask.original_count - static_cast<std::int64_t>(subtask.documents.size());
    for (const Document& document : subtask.documents) {
      DocumentOutcome& scored = answers[next++];
      count_flags(scored, outcome);
      outcome.model_flops += scored.flops;
      outcome.pass_tokens += scored.pass_tokens;
      if (task.spec.kind == TaskKind::multiple_choice)
        outcome.chance += 1.0 / static_cast<double>(document.continuations.size());
      documents.push_back(std::move(scored));
    }
  }
  outcome.chance /= static_cast<double>(task.question_count());
  add_rows(task, options, outcome);
  if (auto ok = add_breakdowns(task, options, outcome); !ok) return forward(ok);
  if (is_cancelled()) return cancelled();
  return outcome;
}

Result<TaskOutcome> evaluate(const PreparedTask& task, LanguageModel& model, const EvaluateOptions& options) {
  RunMeter meter(options.system_root);
  const Work before = model.executed();
  const ExpertLoad load_before = model.expert_load();
  const std::int64_t stored_before = model.stored_answers();
  const SubjectNames subjects = subjects_of(task);
  auto answers = answer(task, all_questions(task), model, meter.watched(options.hooks), subjects.of_question);
  if (!answers) return forward(answers);
  auto outcome = summarise_answers(task, std::move(*answers), options);
  if (!outcome) return outcome;
  outcome->stored_answers = model.stored_answers() - stored_before;
  outcome->executed = model.executed();
  outcome->executed -= before;
  outcome->experts = expert_use(load_before, model.expert_load(), subjects.names);
  if (outcome->experts->tokens == 0) outcome->experts.reset();
  outcome->seconds = meter.seconds(), outcome->joules = meter.joules();
  return outcome;
}

}  // namespace moe::inline MOE_ABI::eval

// Reads and checks task files; the built-in ones are compiled in by embed_tasks.cmake.

#include "moe/eval/task.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "eval/score/filter.hpp"
#include "eval/tasks/builtin_tasks.hpp"
#include "eval/tasks/subtasks.hpp"
#include "eval/tasks/task_reader.hpp"
#include "eval/tasks/template.hpp"
#include "support/json.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::uint64_t kTaskBytes = std::uint64_t{16} << 20;

// Bounds of lists for which kMostItems (task_reader.hpp says why there is one) is too few.
constexpr std::size_t kMostLabels = 1024;    // as many as choices
constexpr std::size_t kMostGroups = 256;     // tables
constexpr std::size_t kMostMembers = 16384;  // of all groups together
constexpr std::size_t kMostMappings = 4096;  // entries of all mapping_dict together

constexpr std::string_view kKeys[] = {
    "task",        "alias",    "version",       "group_version", "type",    "questions",        "fewshot",
    "description", "prompt",   "continuation",  "labels",        "cluster", "target_delimiter", "fewshot_delimiter",
    "gen_prefix",  "metrics",  "group_metrics", "subtasks",      "groups",  "target",           "until",
    "max_tokens",  "group_by", "filters",       "exact_match",   "csv",     "num_fewshot"};

bool has_metric(TaskKind kind, Metric metric) {
  switch (metric) {
    case Metric::exact_match: return kind == TaskKind::generation || kind == TaskKind::multiple_choice;
    case Metric::acc:
    case Metric::perplexity: return kind == TaskKind::cloze || kind == TaskKind::multiple_choice;
    case Metric::acc_norm:
    case Metric::acc_bytes:
    case Metric::acc_mutual_info:
    case Metric::brier_score: return kind == TaskKind::multiple_choice;
    default: return kind == TaskKind::rolling;
  }
}

// `mappings`: entries so far.
FilterStep read_step(JsonValue item, TaskReader& reader, std::size_t& mappings) {
  // The order is that of enum FilterStep::Function.
  static constexpr std::string_view kFunctions[] = {"regex", "remove_whitespace", "lowercase",    "uppercase",
                                                    "map",   "take_first",        "take_first_k", "majority_vote"};
  FilterStep step;
  std::string name;
  reader.text(item, "function", name, true);
  const auto* known = std::find(std::begin(kFunctions), std::end(kFunctions), name);
  if (known == std::end(kFunctions))
    return reader.problem(
               fmt::format("filters: unknown function {} (known: {})", in_quotes(name), fmt::join(kFunctions, ", "))),
           step;
  step.function = static_cast<FilterStep::Function>(known - std::begin(kFunctions));
  const bool is_regex = step.function == FilterStep::Function::regex,
             is_map = step.function == FilterStep::Function::map;
  std::vector<std::string_view> keys = {"function"};
  if (is_regex) keys.insert(keys.end(), {"regex_pattern", "group_select", "fallback"});
  if (is_map) keys.insert(keys.end(), {"mapping_dict", "default_value"});
  if (step.function == FilterStep::Function::take_first_k) keys.emplace_back("k");
  reader.only(item, keys, fmt::format("filters: {}: ", name));
  reader.text(item, "regex_pattern", step.regex_pattern, is_regex);
  reader.text(item, is_map ? "default_value" : "fallback", step.fallback);
  reader.count(item, "k", step.k);
  if (const auto group = item.find("group_select")) {
    if (const auto value = whole_number(*group, -1000, 1000))
      step.group_select = *value;
    else
      reader.problem(
          fmt::format("filters: group_select is {}, expected a whole number", in_quotes(group->in_ascii(80))));
  }
  const auto mapping = item.find("mapping_dict");
  if (is_map && !mapping) return reader.problem("filters: map has no mapping_dict"), step;
  if (mapping) {
    if (!mapping->is_object()) return reader.problem("filters: mapping_dict is not an object"), step;
    mappings += mapping->size();
    if (!reader.fits("filters: mapping_dict", mappings, kMostMappings)) return step;
    for (const auto& [from, to] : mapping->items()) {
      if (!to.is_string()) return reader.problem("filters: mapping_dict holds something that is no text"), step;
      step.mapping.emplace_back(from, to.text());
    }
  }
  return step;
}

void read_filters(JsonValue root, TaskReader& reader, TaskSpec& task) {
  const auto filters = root.find("filters");
  if (!filters) return;
  if (!filters->is_array() || filters->empty()) return reader.problem("key 'filters' is no list of filters");
  if (!reader.fits("key 'filters'", filters->size(), kMostItems)) return;  // each has a column per metric
  std::size_t mappings = 0;
  task.filters.clear();
  for (const JsonValue item : *filters) {
    if (!item.is_object()) return reader.problem("key 'filters' holds something that is no object");
    reader.only(item, {"name", "steps"}, "filters: ");
    FilterSpec filter;
    reader.text(item, "name", filter.name, true);
    for (const FilterSpec& before : task.filters)
      if (before.name == filter.name) reader.problem(fmt::format("filters: two are called {}", in_quotes(filter.name)));
    const auto steps = item.find("steps");
    if (!steps || !steps->is_array())
      return reader.problem(fmt::format("filters: {} has no list of 'steps'", in_quotes(filter.name)));
    if (!reader.fits("filters: key 'steps'", steps->size(), kMostItems)) return;
    for (const JsonValue step : *steps) {
      if (!step.is_object())
        return reader.problem(fmt::format("filters: a step of {} is no object", in_quotes(filter.name)));
      filter.steps.push_back(read_step(step, reader, mappings));
    }
    task.filters.push_back(std::move(filter));
  }
}

void read_generation(JsonValue root, TaskReader& reader, TaskSpec& task) {
  for (const char* key : {"target", "until", "max_tokens", "filters", "exact_match"})
    if (root.contains(key) && task.kind != TaskKind::generation)
      return reader.problem(fmt::format("key '{}' is for tasks of type generation", key));
  reader.text(root, "target", task.target);
  reader.texts(root, "until", task.generation.until);
  for (const std::string& text : task.generation.until)
    if (text.empty()) reader.problem("until: an empty text would end every reply at once");
  reader.count(root, "max_tokens", task.generation.max_tokens);
  read_filters(root, reader, task);
  const auto match = root.find("exact_match");
  if (!match) return;
  if (!match->is_object()) return reader.problem("key 'exact_match' is not an object");
  reader.only(*match, {"regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"}, "exact_match: ");
  reader.texts(*match, "regexes_to_ignore", task.exact_match.regexes_to_ignore);
  reader.flag(*match, "ignore_case", task.exact_match.ignore_case);
  reader.flag(*match, "ignore_punctuation", task.exact_match.ignore_punctuation);
  reader.flag(*match, "ignore_numbers", task.exact_match.ignore_numbers);
}

void read_fewshot(JsonValue root, TaskReader& reader, TaskSpec& task) {
  const auto fewshot = root.find("fewshot");
  if (!fewshot) return;
  if (!fewshot->is_object()) return reader.problem("key 'fewshot' is not an object");
  reader.only(*fewshot, {"examples", "rule", "match", "spare", "target_delimiter"}, "fewshot: ");
  if (fewshot->contains("target_delimiter"))
    reader.text(*fewshot, "target_delimiter", task.fewshot.target_delimiter.emplace());
  reader.text(*fewshot, "examples", task.fewshot.examples);
  if (task.fewshot.examples == "self") task.fewshot.examples.clear(), task.fewshot.from_questions = true;
  task.fewshot.spare = task.fewshot.from_questions;
  if (!task.fewshot.from_questions) reader.flag(*fewshot, "spare", task.fewshot.spare);
  reader.text(*fewshot, "match", task.fewshot.match);
  std::string rule = "first_n";
  reader.text(*fewshot, "rule", rule);
  if (rule == "random")
    task.fewshot.rule = FewshotRule::random;
  else if (rule != "first_n")
    reader.problem(fmt::format("fewshot: unknown rule {} (known: first_n, random)", in_quotes(rule)));
}

void read_csv_folders(JsonValue root, TaskReader& reader, TaskSpec& task) {
  const auto csv = root.find("csv");
  if (!csv) return;
  if (!csv->is_object()) return reader.problem("key 'csv' is not an object");
  reader.only(*csv, {"questions", "examples"}, "csv: ");
  reader.text(*csv, "questions", task.csv_questions, true);
  reader.text(*csv, "examples", task.csv_examples);
}

void read_subtasks(JsonValue root, TaskReader& reader, TaskSpec& task) {
  const auto subtasks = root.find("subtasks");
  if (!subtasks) return;
  if (!subtasks->is_object()) return reader.problem("key 'subtasks' is not an object");
  reader.only(*subtasks, {"name", "alias", "titles"}, "subtasks: ");
  reader.text(*subtasks, "name", task.subtask_name, true);
  reader.text(*subtasks, "alias", task.subtask_alias);
  const auto titles = subtasks->find("titles");
  if (titles) {
    if (!titles->is_object()) return reader.problem("subtasks: key 'titles' is not an object");
    if (!reader.fits("subtasks: key 'titles'", titles->size(), kMostSubtasks)) return;
    for (const auto& [key, title] : titles->items()) {
      if (!title.is_string()) return reader.problem(fmt::format("subtasks: title of {} is not text", in_quotes(key)));
      task.subjects.emplace_back(key, title.text());
    }
  }
}

void read_groups(JsonValue root, TaskReader& reader, TaskSpec& task) {
  const auto groups = root.find("groups");
  if (!groups) return;
  if (!groups->is_array()) return reader.problem("key 'groups' is not a list");
  if (!reader.fits("key 'groups'", groups->size(), kMostGroups)) return;
  std::size_t members = 0;
  std::set<std::string> known;
  for (const auto& subject : task.subjects) known.insert(subject.first);
  for (const JsonValue item : *groups) {
    if (!item.is_object()) return reader.problem("key 'groups' holds something that is no object");
    reader.only(item, {"name", "alias", "version", "weight_by_size", "subjects"}, "groups: ");
    GroupSpec group;
    reader.text(item, "name", group.name, true);
    for (const GroupSpec& before : task.groups)
      if (before.name == group.name) reader.problem(fmt::format("groups: two are called {}", in_quotes(group.name)));
    if (group.name == task.name)
      reader.problem(fmt::format("groups: {} is the task's own name, which stands for all", in_quotes(group.name)));
    group.alias = group.name;
    reader.text(item, "alias", group.alias);
    reader.text(item, "version", group.version);
    reader.flag(item, "weight_by_size", group.weight_by_size);
    reader.texts(item, "subjects", group.subjects, kMostSubtasks);
    members += group.subjects.size();
    if (!reader.fits("groups: key 'subjects' of all groups", members, kMostMembers)) return;
    for (const std::string& subject : group.subjects)
      if (known.insert(subject).second) task.subjects.emplace_back(subject, subject);
    task.groups.push_back(std::move(group));
  }
}

// A shell's name of a pipe has no extension that shows the kind of its contents.
bool is_stream_name(std::string_view what) { return what == "-" || what.starts_with("/dev/"); }

// "/dev/fd/63" is where a shell puts <(command): fd63.
std::string name_of_questions(const std::string& path) {
  if (path == "-") return "stdin";
  const std::string stem = std::filesystem::path(path).stem().string();
  return path.starts_with("/dev/fd/") ? "fd" + stem : stem;
}

TaskSpec task_of_question_file(const std::string& path) {
  TaskSpec task;
  task.name = task.alias = name_of_questions(path);
  task.data = path;
  task.data_is_path = true;
  task.prompt = "Question: {question}\nAnswer:";
  task.metrics = task.group_metrics = {Metric::acc, Metric::acc_norm};
  task.fewshot.match = "subject";
  task.group_by = {"subject", "tier"};
  task.source = R"({"prompt": "Question: {question}\nAnswer:", "continuation": "{choice}"})";
  return task;
}

void read_kind(const JsonValue& root, TaskReader& reader, TaskSpec& task) {
  std::string type = "multiple_choice";
  reader.text(root, "type", type);
  if (type == "cloze")
    task.kind = TaskKind::cloze;
  else if (type == "generation")
    task.kind = TaskKind::generation;
  else if (type == "rolling")
    task.kind = TaskKind::rolling;
  else if (type != "multiple_choice")
    reader.problem(
        fmt::format("unknown type {} (known: multiple_choice, cloze, generation, rolling)", in_quotes(type)));
}

void read_metrics(const JsonValue& root, TaskReader& reader, TaskSpec& task) {
  reader.metrics(root, "metrics", task, task.metrics);
  if (task.metrics.empty()) reader.problem("key 'metrics' is missing or empty");
  reader.metrics(root, "group_metrics", task, task.group_metrics);
  if (task.group_metrics.empty()) task.group_metrics = task.metrics;
  for (const MetricColumn& column : task.group_metrics)
    if (column_of(task.metrics, column.metric) == task.metrics.size())
      reader.problem(fmt::format("group_metrics names {}, which metrics does not", name_of(column.metric)));
  for (const MetricColumn& column : task.metrics)
    if (!has_metric(task.kind, column.metric))
      reader.problem(fmt::format("metric {} is not for tasks of type {}", name_of(column.metric), name_of(task.kind)));
}

void check_templates(TaskReader& reader, const TaskSpec& task) {
  for (const auto& [key, source] : {std::pair{"description", task.description},
                                    {"prompt", task.prompt},
                                    {"continuation", task.continuation},
                                    {"target", task.target},
                                    {"cluster", task.cluster},
                                    {"gen_prefix", task.gen_prefix},
                                    {"subtasks.name", task.subtask_name},
                                    {"subtasks.alias", task.subtask_alias}})
    reader.checked_template(key, source);
  if (const auto prompt = Template::parse(task.prompt);
      prompt && (prompt->uses("choice") || prompt->uses("label")) &&
      column_of(task.metrics, Metric::acc_mutual_info) < task.metrics.size())
    reader.problem(
        "metric acc_mutual_info needs one prompt for all answers: 'prompt' must not use {choice} or {label}");
}

}  // namespace

Result<TaskSpec> parse_task(std::string_view json, const std::string& file_name) {
  const auto document = parse_json_object(json, file_name);
  if (!document) return forward(document);
  const JsonValue root = document->root();
  TaskReader reader(file_name);
  reader.only(root, {std::begin(kKeys), std::end(kKeys)}, "");

  TaskSpec task;
  reader.text(root, "task", task.name, true);
  if (task.name.empty()) reader.problem("key 'task' is empty");
  task.alias = task.name;
  reader.text(root, "alias", task.alias);
  reader.text(root, "version", task.version);
  reader.text(root, "group_version", task.group_version);
  read_kind(root, reader, task);
  // A text that is scored as a whole has no context.
  const bool is_rolling = task.kind == TaskKind::rolling;
  for (const char* key : {"description", "prompt", "labels", "fewshot", "num_fewshot", "gen_prefix"})
    if (is_rolling && root.contains(key)) reader.problem(fmt::format("key '{}' is not for tasks of type rolling", key));
  reader.text(root, "questions", task.data, true);
  reader.text(root, "description", task.description);
  reader.text(root, "prompt", task.prompt, !is_rolling);
  reader.text(root, "continuation", task.continuation, task.kind != TaskKind::multiple_choice);
  read_generation(root, reader, task);
  reader.texts(root, "labels", task.labels, kMostLabels);
  reader.text(root, "cluster", task.cluster);
  reader.text(root, "target_delimiter", task.target_delimiter);
  reader.text(root, "fewshot_delimiter", task.fewshot_delimiter);
  reader.text(root, "gen_prefix", task.gen_prefix);
  read_metrics(root, reader, task);
  read_subtasks(root, reader, task);
  if (!task.subtask_name.empty()) task.fewshot.match = "subject";
  read_fewshot(root, reader, task);
  reader.texts(root, "group_by", task.group_by);
  reader.different("group_by", task.group_by);
  reader.count(root, "num_fewshot", task.num_fewshot, 0);
  read_csv_folders(root, reader, task);
  read_groups(root, reader, task);
  if (!task.groups.empty() && task.subtask_name.empty()) reader.problem("'groups' without 'subtasks'");
  check_templates(reader, task);
  if (const auto filters = check_filters(task); !filters) reader.problem(filters.error().message);
  if (reader.failed()) return tl::unexpected<Error>(reader.error());
  task.source = json;
  return task;
}

std::vector<std::string> builtin_task_names() {
  std::vector<std::string> names;
  for (const BuiltinTask& task : builtin_tasks()) names.emplace_back(task.name);
  std::sort(names.begin(), names.end());
  return names;
}

Result<TaskSpec> load_task(const std::string& what, const std::function<bool()>& cancelled) {
  for (const BuiltinTask& task : builtin_tasks())
    if (what == task.name) return parse_task(task.json, fmt::format("built-in task {}", task.name));
  const std::string extension = std::filesystem::path(what).extension().string();
  if (extension == ".jsonl" || is_stream_name(what)) return task_of_question_file(what);
  if (extension == ".json") {
    const auto text = read_text(what, {.bytes = kTaskBytes, .streams = Streams::allowed, .cancelled = cancelled});
    if (!text) return forward(text);
    auto task = parse_task(*text, what);
    if (!task) return task;
    // Names with ./ or ../ are relative to the task file, not to the data folder.
    const auto locate = [&](std::string& file, bool& is_path) {
      is_path = file.starts_with("./") || file.starts_with("../") || file.starts_with("/");
      if (is_path) file = (std::filesystem::path(what).parent_path() / file).lexically_normal().string();
    };
    locate(task->data, task->data_is_path);
    locate(task->fewshot.examples, task->fewshot.is_path);
    return task;
  }
  return fail(
      ErrorCode::not_found,
      fmt::format(
          "unknown task {} (known: {}; or a path to a .jsonl question file or a .json task file, or - for questions "
          "on standard input)",
          in_quotes(what), fmt::join(builtin_task_names(), ", ")));
}

}  // namespace moe::inline MOE_ABI::eval

// Reads and checks task files; the built-in ones are compiled in by embed_tasks.cmake.

#include "moe/eval/task.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "eval/builtin_tasks.hpp"
#include "eval/file.hpp"
#include "eval/template.hpp"
#include "eval/text.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMetricNames[] = {"acc", "acc_norm", "perplexity", "exact_match"};
constexpr std::string_view kKeys[] = {"task",
                                      "alias",
                                      "version",
                                      "group_version",
                                      "type",
                                      "questions",
                                      "fewshot",
                                      "description",
                                      "prompt",
                                      "continuation",
                                      "labels",
                                      "cluster",
                                      "target_delimiter",
                                      "fewshot_delimiter",
                                      "metrics",
                                      "group_metrics",
                                      "subtasks",
                                      "groups",
                                      "target",
                                      "until",
                                      "max_tokens",
                                      "group_by"};

// Fetches typed members; remembers the first problem so that reading stays a flat list of lines.
class Reader {
 public:
  Reader(std::string file, std::string where) : file_(std::move(file)), where_(std::move(where)) {}

  bool failed() const { return !problem_.empty(); }
  Error error() const { return {ErrorCode::bad_file, fmt::format("{}: {}", file_, problem_)}; }
  void problem(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }

  void text(const Json& object, const char* key, std::string& out, bool required = false) {
    const auto found = object.find(key);
    if (found == object.end()) {
      if (required) problem(fmt::format("{}key '{}' is missing", where_, key));
    } else if (!found->is_string()) {
      problem(fmt::format("{}key '{}' is {}, expected text", where_, key, found->type_name()));
    } else {
      out = *found->get_ptr<const std::string*>();
    }
  }
  void count(const Json& object, const char* key, std::int64_t& out) {
    const auto found = object.find(key);
    if (found == object.end()) return;
    constexpr std::int64_t kMost = 1 << 20;
    if (!found->is_number_integer() || *found < 1 || *found > kMost)
      return problem(fmt::format("{}key '{}' is {}, expected a whole number from 1 to {}", where_, key,
                                 shown(found->dump()), kMost));
    out = found->get<std::int64_t>();
  }
  void texts(const Json& object, const char* key, std::vector<std::string>& out) {
    const auto found = object.find(key);
    if (found == object.end()) return;
    if (!found->is_array())
      return problem(fmt::format("{}key '{}' is {}, expected a list of texts", where_, key, found->type_name()));
    for (const Json& item : *found) {
      if (!item.is_string())
        return problem(fmt::format("{}key '{}' holds {}, expected texts only", where_, key, item.type_name()));
      out.push_back(*item.get_ptr<const std::string*>());
    }
  }
  void metrics(const Json& object, const char* key, std::vector<Metric>& out) {
    std::vector<std::string> names;
    texts(object, key, names);
    for (const std::string& name : names) {
      const auto* known = std::find(std::begin(kMetricNames), std::end(kMetricNames), name);
      if (known == std::end(kMetricNames))
        return problem(
            fmt::format("{}: unknown metric {} (known: {})", key, shown(name), fmt::join(kMetricNames, ", ")));
      out.push_back(static_cast<Metric>(known - std::begin(kMetricNames)));
    }
  }
  void checked_template(const char* key, const std::string& source) {
    if (const auto parsed = Template::parse(source); !parsed)
      problem(fmt::format("{}: {}", key, parsed.error().message));
  }

 private:
  std::string file_, where_, problem_;
};

bool has_metric(TaskKind kind, Metric metric) {
  if (metric == Metric::exact_match) return kind == TaskKind::generation;
  if (metric == Metric::acc_norm) return kind == TaskKind::multiple_choice;
  return kind != TaskKind::generation;
}

void read_generation(const Json& root, Reader& reader, TaskSpec& task) {
  for (const char* key : {"target", "until", "max_tokens"})
    if (root.contains(key) && task.kind != TaskKind::generation)
      return reader.problem(fmt::format("key '{}' is for tasks of type generation", key));
  reader.text(root, "target", task.target);
  reader.texts(root, "until", task.generation.until);
  for (const std::string& text : task.generation.until)
    if (text.empty()) reader.problem("until: an empty text would end every reply at once");
  reader.count(root, "max_tokens", task.generation.max_tokens);
}

void read_fewshot(const Json& root, Reader& reader, TaskSpec& task) {
  const auto fewshot = root.find("fewshot");
  if (fewshot == root.end()) return;
  if (!fewshot->is_object()) return reader.problem("key 'fewshot' is not an object");
  for (const auto& [key, value] : fewshot->items())
    if (key != "examples" && key != "rule" && key != "match")
      reader.problem(fmt::format("fewshot: unknown key {} (known: examples, rule, match)", shown(key)));
  reader.text(*fewshot, "examples", task.fewshot.examples);
  if (task.fewshot.examples == "self") task.fewshot.examples.clear(), task.fewshot.from_questions = true;
  reader.text(*fewshot, "match", task.fewshot.match);
  std::string rule = "first_n";
  reader.text(*fewshot, "rule", rule);
  if (rule == "random")
    task.fewshot.rule = FewshotRule::random;
  else if (rule != "first_n")
    reader.problem(fmt::format("fewshot: unknown rule {} (known: first_n, random)", shown(rule)));
}

void read_subtasks(const Json& root, Reader& reader, TaskSpec& task) {
  const auto subtasks = root.find("subtasks");
  if (subtasks == root.end()) return;
  if (!subtasks->is_object()) return reader.problem("key 'subtasks' is not an object");
  reader.text(*subtasks, "name", task.subtask_name, true);
  reader.text(*subtasks, "alias", task.subtask_alias);
  const auto titles = subtasks->find("titles");
  if (titles != subtasks->end()) {
    if (!titles->is_object()) return reader.problem("subtasks: key 'titles' is not an object");
    for (const auto& [key, title] : titles->items()) {
      if (!title.is_string()) return reader.problem(fmt::format("subtasks: title of {} is not text", shown(key)));
      task.subjects.emplace_back(key, *title.get_ptr<const std::string*>());
    }
  }
}

void read_groups(const Json& root, Reader& reader, TaskSpec& task) {
  const auto groups = root.find("groups");
  if (groups == root.end()) return;
  if (!groups->is_array()) return reader.problem("key 'groups' is not a list");
  for (const Json& item : *groups) {
    if (!item.is_object()) return reader.problem("key 'groups' holds something that is no object");
    GroupSpec group;
    reader.text(item, "name", group.name, true);
    group.alias = group.name;
    reader.text(item, "alias", group.alias);
    reader.text(item, "version", group.version);
    reader.texts(item, "subjects", group.subjects);
    for (const std::string& subject : group.subjects)
      if (std::none_of(task.subjects.begin(), task.subjects.end(), [&](const auto& s) { return s.first == subject; }))
        task.subjects.emplace_back(subject, subject);
    task.groups.push_back(std::move(group));
  }
}

TaskSpec task_of_question_file(const std::string& path) {
  TaskSpec task;
  task.name = task.alias = std::filesystem::path(path).stem().string();
  task.data = path;
  task.data_is_path = true;
  task.prompt = "Question: {question}\nAnswer:";
  task.metrics = task.group_metrics = {Metric::acc, Metric::acc_norm};
  task.fewshot.match = "subject";
  task.group_by = {"subject", "tier"};
  task.source = R"({"prompt": "Question: {question}\nAnswer:", "continuation": "{choice}"})";
  return task;
}

}  // namespace

std::string_view name_of(Metric metric) { return kMetricNames[static_cast<int>(metric)]; }
bool higher_is_better(Metric metric) { return metric != Metric::perplexity; }

Result<TaskSpec> parse_task(std::string_view json, const std::string& file_name) {
  const Json root = Json::parse(json, nullptr, false);
  if (!root.is_object()) return fail(ErrorCode::bad_file, fmt::format("{}: a task file is one JSON object", file_name));
  Reader reader(file_name, "");
  for (const auto& [key, value] : root.items())
    if (std::find(std::begin(kKeys), std::end(kKeys), key) == std::end(kKeys))
      reader.problem(fmt::format("unknown key {} (known: {})", shown(key), fmt::join(kKeys, ", ")));

  TaskSpec task;
  task.source = json;
  reader.text(root, "task", task.name, true);
  task.alias = task.name;
  reader.text(root, "alias", task.alias);
  reader.text(root, "version", task.version);
  reader.text(root, "group_version", task.group_version);
  std::string type = "multiple_choice";
  reader.text(root, "type", type);
  if (type == "cloze")
    task.kind = TaskKind::cloze;
  else if (type == "generation")
    task.kind = TaskKind::generation;
  else if (type != "multiple_choice")
    reader.problem(fmt::format("unknown type {} (known: multiple_choice, cloze, generation)", shown(type)));
  reader.text(root, "questions", task.data, true);
  reader.text(root, "description", task.description);
  reader.text(root, "prompt", task.prompt, true);
  reader.text(root, "continuation", task.continuation, task.kind != TaskKind::multiple_choice);
  read_generation(root, reader, task);
  reader.texts(root, "labels", task.labels);
  reader.text(root, "cluster", task.cluster);
  reader.text(root, "target_delimiter", task.target_delimiter);
  reader.text(root, "fewshot_delimiter", task.fewshot_delimiter);
  reader.metrics(root, "metrics", task.metrics);
  if (task.metrics.empty()) reader.problem("key 'metrics' is missing or empty");
  reader.metrics(root, "group_metrics", task.group_metrics);
  if (task.group_metrics.empty()) task.group_metrics = task.metrics;
  for (Metric metric : task.group_metrics)
    if (std::find(task.metrics.begin(), task.metrics.end(), metric) == task.metrics.end())
      reader.problem(fmt::format("group_metrics names {}, which metrics does not", name_of(metric)));
  for (Metric metric : task.metrics)
    if (!has_metric(task.kind, metric))
      reader.problem(fmt::format("metric {} is not for tasks of type {}", name_of(metric), type));
  read_subtasks(root, reader, task);
  if (!task.subtask_name.empty()) task.fewshot.match = "subject";
  read_fewshot(root, reader, task);
  reader.texts(root, "group_by", task.group_by);
  read_groups(root, reader, task);
  if (!task.groups.empty() && task.subtask_name.empty()) reader.problem("'groups' without 'subtasks'");
  for (const auto& [key, source] : {std::pair{"description", task.description},
                                    {"prompt", task.prompt},
                                    {"continuation", task.continuation},
                                    {"target", task.target},
                                    {"cluster", task.cluster},
                                    {"subtasks.name", task.subtask_name},
                                    {"subtasks.alias", task.subtask_alias}})
    reader.checked_template(key, source);
  if (reader.failed()) return tl::unexpected<Error>(reader.error());
  return task;
}

std::vector<std::string> builtin_task_names() {
  std::vector<std::string> names;
  for (const BuiltinTask& task : builtin_tasks()) names.emplace_back(task.name);
  std::sort(names.begin(), names.end());
  return names;
}

Result<TaskSpec> find_task(const std::string& what) {
  for (const BuiltinTask& task : builtin_tasks())
    if (what == task.name) return parse_task(task.json, fmt::format("built-in task {}", task.name));
  const std::string extension = std::filesystem::path(what).extension().string();
  if (extension == ".jsonl") return task_of_question_file(what);
  if (extension == ".json") {
    const auto text = read_text_file(what);
    if (!text) return forward(text);
    auto task = parse_task(*text, what);
    if (!task) return task;
    // A file that the task file names with ./ or ../ lies beside it, not in the data folder.
    const auto locate = [&](std::string& file, bool& is_path) {
      is_path = file.starts_with("./") || file.starts_with("../") || file.starts_with("/");
      if (is_path) file = (std::filesystem::path(what).parent_path() / file).lexically_normal().string();
    };
    locate(task->data, task->data_is_path);
    locate(task->fewshot.examples, task->fewshot.is_path);
    return task;
  }
  return fail(ErrorCode::not_found,
              fmt::format("unknown task {} (known: {}; or a path to a .jsonl question file or a .json task file)",
                          shown(what), fmt::join(builtin_task_names(), ", ")));
}

}  // namespace moe::inline MOE_ABI::eval

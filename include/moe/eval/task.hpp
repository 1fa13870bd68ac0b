#pragma once
// A task is data: one JSON file (src/eval/tasks/<task>.json) defines questions, prompts and metrics.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

enum class TaskKind {
  multiple_choice,  ///< every choice is scored as a continuation; the highest log-likelihood is the answer
  cloze,            ///< one continuation; right when greedy decoding would produce it
  generation,       ///< the model generates a reply, which is filtered and compared with the target
  rolling,          ///< the log-likelihood of all tokens of a text
};
constexpr std::string_view name_of(TaskKind value) noexcept {
  switch (value) {
    case TaskKind::multiple_choice: return "multiple_choice";
    case TaskKind::cloze: return "cloze";
    case TaskKind::generation: return "generation";
    case TaskKind::rolling: return "rolling";
  }
  return "";
}

enum class Metric {
  acc,       ///< multiple choice: first maximum of the log-likelihoods is the answer; cloze: the continuation is greedy
  acc_norm,  ///< the same with log-likelihoods divided by the choice's length in code points, without the delimiter
  perplexity,       ///< exp(-mean log-likelihood)
  exact_match,      ///< generation: the filtered reply equals the target; multiple choice: the right answer is greedy
  acc_bytes,        ///< as acc_norm, divided by the choice's length in bytes of UTF-8
  acc_mutual_info,  ///< as acc, minus the log-likelihood of the answer after an empty context (an extra request)
  brier_score,      ///< squared distance of softmax(log-likelihoods) from the right answer
  word_perplexity,  ///< of whole texts: exp(-log-likelihood / words), over all texts of a subtask
  byte_perplexity,  ///< the same for bytes of UTF-8
  bits_per_byte,    ///< -log2 likelihood / bytes
};
MOE_API std::string_view name_of(Metric metric);
MOE_API bool higher_is_better(Metric metric);
/// Whether it is a mean of 0s and 1s over questions.
MOE_API bool is_share(Metric metric);

/// One filter step for replies; names and meaning as in the reference harness.
struct FilterStep {
  enum class Function {
    regex,              ///< the match of re.findall that `group_select` names, stripped; else `fallback`
    remove_whitespace,  ///< at both ends
    lowercase,
    uppercase,
    map,           ///< `mapping`, else `fallback`
    take_first,    ///< the first reply
    take_first_k,  ///< the first k
    majority_vote  ///< the most frequent; of equals the first
  };
  Function function = Function::take_first;
  std::string regex_pattern = {};
  std::int64_t group_select = 0;  ///< from the end when negative
  std::string fallback = "[invalid]";
  std::vector<std::pair<std::string, std::string>> mapping = {};
  std::int64_t k = 1;
};
constexpr std::string_view name_of(FilterStep::Function value) noexcept {
  using Function = FilterStep::Function;
  switch (value) {
    case Function::regex: return "regex";
    case Function::remove_whitespace: return "remove_whitespace";
    case Function::lowercase: return "lowercase";
    case Function::uppercase: return "uppercase";
    case Function::map: return "map";
    case Function::take_first: return "take_first";
    case Function::take_first_k: return "take_first_k";
    case Function::majority_vote: return "majority_vote";
  }
  return "";
}

/// A named chain of steps: one column of results.
struct FilterSpec {
  std::string name = "none";
  std::vector<FilterStep> steps = {};
};

/// What exact_match removes from both texts before comparing them, in this order.
struct ExactMatchSpec {
  std::vector<std::string> regexes_to_ignore = {};
  bool ignore_case = false;
  bool ignore_punctuation = false;  ///< of ASCII
  bool ignore_numbers = false;      ///< digits of ASCII
};

/// A metric with the filter of replies that it applies to ("none" without filters).
struct MetricColumn {
  Metric metric = Metric::acc;
  std::string filter = "none";
  MetricColumn(Metric m) : metric(m) {}  // NOLINT: a metric is a column
  MetricColumn(Metric m, std::string f) : metric(m), filter(std::move(f)) {}
  /// "exact_match,strict-match" of a filter's column, "acc" of others: in tables and run.json.
  std::string title() const { return filter == "none" ? std::string(name_of(metric)) : key(); }
  bool operator==(const MetricColumn&) const = default;
  /// "acc,none", the key in result files; `suffix` follows the metric's name.
  std::string key(std::string_view suffix = "") const {
    return std::string(name_of(metric)) + std::string(suffix) + "," + filter;
  }
};
/// Index of the first column with that metric; columns.size() when there is none.
MOE_API std::size_t column_of(std::span<const MetricColumn> columns, Metric metric);
/// The column that represents a task in comparisons: acc, else exact_match, else the first is_share() metric;
/// columns.size() when there is none.
MOE_API std::size_t headline_column(std::span<const MetricColumn> columns);

/// Subtasks that are reported together; metrics are averaged over questions (weight_by_size) or over subtasks.
struct GroupSpec {
  std::string name = {}, alias = {};
  bool weight_by_size = true;
  std::string version = {};  ///< empty: TaskSpec::group_version
  std::vector<std::string> subjects = {};
};

enum class FewshotRule {
  first_n,  ///< the first examples, in the order of the file
  random,   ///< random.Random(seed).sample, one generator per subtask that advances from question to question
};
constexpr std::string_view name_of(FewshotRule value) noexcept {
  switch (value) {
    case FewshotRule::first_n: return "first_n";
    case FewshotRule::random: return "random";
  }
  return "";
}

/// Where worked examples come from and which are shown before a question.
struct FewshotSpec {
  std::string examples =
      {};  ///< file below DATA/fewshot, or a path when `is_path`; empty: the question file's own examples
  bool is_path = false;
  bool from_questions = false;  ///< the questions themselves; `spare` is then true
  bool spare = false;           ///< draw one more than is shown, to leave out the question itself if it is among them
  FewshotRule rule = FewshotRule::first_n;
  std::optional<std::string> target_delimiter = {};  ///< within examples; empty: TaskSpec::target_delimiter
  std::string match = {};  ///< only examples with the question's value of this field; empty: all
};

/// How a reply is generated: greedily, until a stop text, the end-of-sequence token or the limit.
struct GenerationSpec {
  std::vector<std::string> until = {};
  std::int64_t max_tokens = 256;
  std::string think_end = {};  ///< PrepareOptions::think_end
};

/// A task file, checked. Templates are text with {field}, {choices[0]}, {choice}, {label} and filters, as
/// {question|strip}; a literal brace is doubled. docs/EVALUATION.md lists fields and filters.
struct TaskSpec {
  std::string name = {}, alias = {};
  std::string version = "1.0", group_version = "1.0";
  TaskKind kind = TaskKind::multiple_choice;
  std::string data = {};  ///< file below DATA/questions, or a path when `data_is_path`
  bool data_is_path = false;
  std::string csv_questions = {},
              csv_examples = {};  ///< folders of CSV files below DATA, used if `data` does not exist
  FewshotSpec fewshot = {};
  std::int64_t num_fewshot = 0;           ///< default number of worked examples
  std::string description = {};           ///< template; precedes everything, without a delimiter
  std::string prompt = {};                ///< template; if it uses {choice}, every choice has its own context
  std::string continuation = "{choice}";  ///< template; follows target_delimiter
  GenerationSpec generation = {};
  std::vector<FilterSpec> filters = {{}};  ///< of replies
  ExactMatchSpec exact_match = {};
  std::string target = {};  ///< template; the reply must equal it. Empty: the continuation of the right answer
  std::string target_delimiter = " ", fewshot_delimiter = "\n\n";
  std::string gen_prefix = {};             ///< template; begins every answer, also in worked examples
  std::vector<std::string> labels = {};    ///< {label} of each choice
  std::vector<std::string> group_by = {};  ///< fields; the report has a table for each with a row per value
  std::string cluster = {};                ///< template; questions with equal text are one cluster in standard errors
  std::vector<MetricColumn> metrics = {}, group_metrics = {};  ///< of each filter in turn
  std::string subtask_name = {};   ///< template; one subtask per distinct text. Empty: no subtasks
  std::string subtask_alias = {};  ///< template; empty: the subtask's name
  std::vector<std::pair<std::string, std::string>> subjects =
      {};  ///< key and the value of {subject|title}, in reporting order
  std::vector<GroupSpec> groups = {};
  std::string source = {};  ///< the file's text (run-store keys)
};

/// Errors: bad_file naming the task file and the key at fault.
MOE_API Result<TaskSpec> parse_task(std::string_view json, const std::string& file_name);

/// Names of the tasks compiled in, sorted.
MOE_API std::vector<std::string> builtin_task_names();

/// `what` is a built-in name, PATH.json (a task file) or PATH.jsonl (questions of the multiple-choice schema, asked as
/// `Question: {question}\nAnswer:`; "-", standard input, and what lies in /dev are such files as well).
/// Errors: not_found listing the known tasks; bad_file; cancelled (`cancelled` is called while waiting for a pipe).
MOE_API Result<TaskSpec> load_task(const std::string& what, const std::function<bool()>& cancelled = {});

/// One line of a question file, checked. Other fields are parsed on demand, which keeps memory at a few times the size
/// of the file instead of a hundred times.
struct Question {
  std::string id = {};
  std::string_view json = {};                    ///< the line, a view into `file`
  std::shared_ptr<const std::string> file = {};  ///< the text, shared by all questions of a file
  std::int64_t line = 0;
  std::int64_t answer = -1;  ///< index into "choices"; -1 for questions without choices
  bool is_example = false;   ///< "split" is dev, train or fewshot: shown, never asked
  bool is_asked = false;     ///< "split" is test or validation: never shown
};

struct ReadHooks {
  std::function<bool()> cancelled = {};  ///< called every few milliseconds
  /// `done` of `total` pieces of `what` are done.
  std::function<void(std::string_view what, std::int64_t done, std::int64_t total)> on_progress = {};
};

/// `path` is a file of JSON lines (or a pipe, or "-" for standard input), or a folder of CSV files as MMLU, CMMLU and
/// C-Eval are published (docs).
/// Errors: not_found, io, cancelled, bad_file naming file:line (no JSON object, no answer, answer out of range or with
/// two meanings, fewer than two choices, an empty one, an unknown split, a field of the wrong type, an id that was
/// there before) or the file (thousands of questions of a few bytes each).
MOE_API Result<std::vector<Question>> load_questions(const std::string& path, TaskKind kind,
                                                     const ReadHooks& hooks = {});

}  // namespace moe::inline MOE_ABI::eval

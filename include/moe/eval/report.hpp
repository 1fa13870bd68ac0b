#pragma once
// Results of a run, as tables for people and as files for programs.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "moe/eval/evaluate.hpp"
#include "moe/eval/families.hpp"
#include "moe/eval/multiplier.hpp"
#include "moe/eval/statistics.hpp"
#include "moe/eval/until_known.hpp"
#include "moe/expert_traffic.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"

namespace moe::inline MOE_ABI::eval {

/// The chat template used for a model.
struct ChatUse {
  std::string template_text = {};  ///< ChatPrompts::reported_text
  bool multiturn = true;
  std::string variables = {}, date = {};  ///< ChatOptions; the date that the template saw
  std::optional<bool> enable_thinking = {};
};

/// One row of the tables: a model with one setting, and its outcomes.
struct ModelRun {
  std::string name = {}, path = {};
  ModelInfo info = {};            ///< of the file; config.router.top_k is the one used
  std::string content_hash = {};  ///< Model::content_hash; may be empty
  Precision precision = Precision::automatic;
  KvType kv = KvType::f16;
  std::int64_t resident_bytes = 0;                  ///< packed weights
  std::int64_t session_bytes = 0;                   ///< cache and scratch
  std::int64_t max_length = 0;                      ///< context limit in tokens
  ExpertTraffic expert_traffic = {};                ///< of this run; all 0 where experts were in memory
  std::shared_ptr<const Tokenizer> tokenizer = {};  ///< for the files; may be empty
  std::vector<TaskOutcome> outcomes = {};           ///< one per finished task, in the order of RunReport::tasks
  std::optional<ChatUse> chat = {};
  /// This model's prompts, where they differ from RunReport::tasks: one per outcome, or none.
  std::vector<PreparedTask> tasks = {};

  const PreparedTask& task(const std::vector<PreparedTask>& of_report, std::size_t index) const {
    return index < tasks.size() ? tasks[index] : of_report[index];
  }
};

/// A family of models, compared by its best one.
struct Family {
  std::string name = {};
  std::vector<std::size_t> models = {};  ///< indices into RunReport::models
};

/// Best of family `a` minus best of family `b` on one task.
struct FamilyComparison {
  std::size_t task = 0, a = 0, b = 0;  ///< indices into the report's tasks and families
  FamilyGap gap = {};                  ///< best_a and best_b: indices into RunReport::models
};

/// Peak rates of this machine, as measured.
struct MachinePeaks {
  std::int32_t threads = 1;
  double int8_ops = 0, float_ops = 0;  ///< operations per second, 2 per multiply-add
  double read_bytes = 0;               ///< bytes per second from memory
};

struct RunReport {
  std::vector<PreparedTask> tasks = {};
  std::vector<ModelRun> models = {};
  std::string baseline = {};  ///< compare all models with this one; empty: every pair
  std::string isa = {};
  std::int32_t thread_count = 1;
  double limit = 0;
  std::uint64_t seed = 1234;
  std::string system_instruction = {};
  std::string think_end = {};                     ///< PrepareOptions::think_end
  std::optional<bool> fewshot_as_multiturn = {};  ///< as given by the user; with a template, see the row's ChatUse
  std::string started = {};                       ///< ISO 8601 time
  std::vector<std::string> command = {};          ///< the program and its arguments, for run.json; may be empty
  double seconds = 0;
  /// Of an --until-known run. Every model then has its own tasks, with the questions that it was asked.
  std::optional<UntilKnown> until_known = {};
  std::vector<Family> families = {};
  std::vector<FamilyComparison> family_gaps = {};  ///< compare_families
  std::vector<std::size_t> reference = {};  ///< models that form the front to compare with; empty: for each all others
  std::vector<std::vector<ComputeMultiplier>> multipliers = {};  ///< [task][model], multipliers_of; or empty
  std::optional<MachinePeaks> peaks = {};
};

/// One comparison of two models on one task.
struct Comparison {
  std::size_t task = 0, a = 0, b = 0;  ///< indices into the report
  PairedGap gap = {};                  ///< accuracy of a minus accuracy of b
  double adjusted_p = 1;               ///< Holm over all comparisons of the run
  bool distinguishable() const { return adjusted_p < 0.05; }
};
/// Empty for a run with early stopping: these tests assume a fixed number of questions.
MOE_API std::vector<Comparison> compare_models(const RunReport& report);

/// Every pair of RunReport::families, the first minus the second, on every task with an accuracy.
/// Errors: those of family_gap, naming task and families.
MOE_API Result<std::vector<FamilyComparison>> compare_families(const RunReport& report,
                                                               const FamilyOptions& options = {});

/// Iso-accuracy compute of every model on every task, against RunReport::reference. None for a task without an accuracy
/// or one that a model did not finish, and none for a run with early stopping, whose models answered different
/// questions. Errors: those of compute_multipliers.
MOE_API Result<std::vector<std::vector<ComputeMultiplier>>> multipliers_of(const RunReport& report,
                                                                           MultiplierOptions options = {});

/// Accuracy with the standard error that clusters questions by TaskSpec::cluster.
struct Accuracy {
  double value = 0;
  std::optional<double> standard_error = {};
  std::int64_t clusters = 0;  ///< independent values
};
MOE_API Accuracy accuracy_of(const PreparedTask& task, const TaskOutcome& outcome);
/// 95 % interval of an accuracy over so many questions: Wilson's below 100 questions or with fewer than 10 right or
/// wrong ones, else Student's. Wilson's for questions in clusters takes their effective number, that of independent
/// questions with the same standard error, and Student's factor for the clusters (the modified Wilson limits of survey
/// statistics: Korn and Graubard 1998, Franco et al. 2019). None without a question, and for several in one cluster.
MOE_API std::optional<std::pair<double, double>> interval_of(const Accuracy& accuracy, std::int64_t questions);

/// How tables are printed.
struct TableOptions {
  std::size_t columns = 100;  ///< maximum line width; at least 40
  bool verbose = false;       ///< also memory, bytes, executed work, reuse, all counters, McNemar's counts
  bool is_terminal = false;   ///< bars
  bool colour = false;        ///< ANSI escapes: bold heads, green and magenta verdicts
};

/// Findings in words, then a table for each finished task, the paired gaps, and accuracy against compute. Names are
/// made printable.
MOE_API std::string render_tables(const RunReport& report, const TableOptions& options = {});

/// Verdicts, questions and FLOPs of RunReport::until_known; empty without it.
MOE_API std::string render_until_known(const RunReport& report, const TableOptions& options = {});
/// RunReport::family_gaps in words and a table; empty without any.
MOE_API std::string render_families(const RunReport& report, const TableOptions& options = {});

/// Checks that names of tasks, subtasks, groups and models give distinct result names, files and folders. Call it
/// before the first question. Errors: bad_argument naming the two that collide.
MOE_API Result<void> check_names(std::span<const PreparedTask> tasks, std::span<const std::string> models);
/// Creates OUT and the models' folders in it. Call it before the first question. Errors: io.
MOE_API Result<void> make_output_folders(const std::string& directory, std::span<const std::string> models);

/// Every file that write_harness_files, write_run_file and write_report_files (run_report.hpp) will write. `started`:
/// RunReport::started.
MOE_API std::vector<std::string> output_files(std::span<const PreparedTask> tasks, std::span<const std::string> models,
                                              const std::string& directory, const std::string& started);

/// OUT/<name>/results_<time>.json and samples_<task>_<time>.jsonl of one model, as the reference harness writes them.
/// Every file is written completely or not at all; if one fails, the others are still written. Names that are no valid
/// file names are changed (libmoe_sample_files in the results then lists the files). `cancelled` is called while a FIFO
/// has no reader. Errors: io, cancelled, bad_argument (as check_names, or a folder in the way).
MOE_API Result<void> write_harness_files(const RunReport& report, const ModelRun& run, const std::string& directory,
                                         const std::function<bool()>& cancelled = {});
/// The contents of run.json.
MOE_API std::string run_file_text(const RunReport& report);
/// OUT/run.json: all results and what is needed to repeat the run.
MOE_API Result<void> write_run_file(const RunReport& report, const std::string& directory,
                                    const std::function<bool()>& cancelled = {});

}  // namespace moe::inline MOE_ABI::eval

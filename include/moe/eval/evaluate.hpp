#pragma once
// Evaluates one model on one task and aggregates the results as the reference harness does.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "moe/eval/expert_use.hpp"
#include "moe/eval/language_model.hpp"
#include "moe/eval/prompt.hpp"
#include "moe/parallel.hpp"

namespace moe::inline MOE_ABI::eval {

/// Mean of a metric with its standard error (none for fewer than two questions). The value is NaN where no question has
/// one: a perplexity when every question failed.
struct MetricValue {
  double value = 0;
  std::optional<double> standard_error = {};
};

/// One question, one model.
struct DocumentOutcome {
  std::vector<Score> scores = {};          ///< one per continuation; with acc_mutual_info, then one per answer alone
  std::vector<std::string> filtered = {};  ///< of generation tasks: the answer found by each of TaskSpec::filters
  std::optional<Generation> reply = {};    ///< of generation tasks
  std::vector<double> metrics = {};        ///< one per TaskSpec::metrics; perplexities hold the log-likelihood
  std::int32_t prediction = -1;            ///< first maximum; -1 without choices
  std::int64_t words = 0, bytes = 0;       ///< of a text scored as a whole
  bool tied = false;                       ///< another choice has the same log-likelihood as the prediction
  Failure failure = Failure::none;         ///< of its first failed request: the question counts as wrong
  /// Model FLOPs (docs/EVALUATION.md: one pass per distinct context + continuation[:-1]).
  std::int64_t flops = 0;
  std::int64_t pass_tokens = 0;  ///< tokens of those passes
};

/// A row of the result: a subtask, a group, or the whole task.
struct Aggregate {
  std::string name = {}, alias = {};
  bool is_group = false;
  std::int64_t question_count = 0;
  std::vector<MetricColumn> kinds = {};
  std::vector<MetricValue> metrics = {};          ///< one per kind
  std::int64_t model_flops = 0, pass_tokens = 0;  ///< of its questions, as in DocumentOutcome
};

/// Results by the values of one field of the questions (TaskSpec::group_by).
struct Breakdown {
  std::string field = {};
  std::vector<Aggregate> rows = {};  ///< name: the value, "-" for questions without the field; numbers ascending
};

struct TaskOutcome {
  std::vector<std::vector<DocumentOutcome>> documents = {};  ///< [subtask][question]
  std::vector<Aggregate> subtasks = {}, groups = {};  ///< the whole task is the last group, when there are groups
  Aggregate overall = {};                             ///< acc etc. over all questions
  std::vector<Breakdown> breakdowns = {};             ///< one per field with more than one value
  double chance = 0;             ///< expected accuracy of guessing: mean of 1 / choices; 0 without choices
  std::int64_t model_flops = 0;  ///< over all questions
  std::int64_t pass_tokens = 0;  ///< tokens that a run without prefix reuse computes
  /// Questions with a problem; each is counted here.
  std::int64_t truncated = 0;             ///< their context was cut from the left
  std::int64_t too_long = 0;              ///< not asked because an answer exceeds the model's context: counted as wrong
  std::int64_t non_finite = 0;            ///< the model's logits were not finite: counted as wrong
  std::int64_t match_limit = 0;           ///< a filter's pattern hit its limits on the reply: counted as wrong
  std::int64_t skipped = 0;               ///< in the file, but beyond the limit
  std::int64_t tied = 0;                  ///< several best answers; the first counts
  std::int64_t reencoded = 0;             ///< an answer merged into a token of the prompt and was encoded alone
  std::int64_t stored_answers = 0;        ///< requests answered from a store; what follows is of the others
  Work executed = {};                     ///< of this task
  std::optional<ExpertUse> experts = {};  ///< of the tokens in `executed`; none without routed experts
  double seconds = 0;
  /// Energy of the whole machine while this task ran; none where it cannot be measured (EnergyMeter).
  std::optional<double> joules = {};
};

struct EvaluateOptions {
  std::int64_t bootstrap_count = 100000;  ///< resamples for the standard error of a perplexity
  ParallelFor threads = {};
  Hooks hooks = {};
  /// Root of the file system whose /sys has the energy counters, as where a container mounts the host's; empty: "/".
  std::string system_root = {};
};

/// Errors: those of LanguageModel::score; cancelled; non_finite, naming a question whose score is not a number although
/// no request failed.
MOE_API Result<TaskOutcome> evaluate(const PreparedTask& task, LanguageModel& model,
                                     const EvaluateOptions& options = {});

/// answer() and summarise_answers() are the two halves of evaluate(), for callers that ask in blocks. out[i] belongs to
/// questions[i]. tallies[i]: which of ExpertLoad::tallies counts its experts; empty: 0. Errors: as evaluate.
MOE_API Result<std::vector<DocumentOutcome>> answer(const PreparedTask& task, std::span<const QuestionIndex> questions,
                                                    LanguageModel& model, const Hooks& hooks = {},
                                                    std::span<const std::int32_t> tallies = {});
/// Fills all members before `stored_answers`; the caller measures the others. `answers`: one for each of
/// all_questions(task), which must not be empty. Errors: bad_argument for another number of answers; cancelled.
MOE_API Result<TaskOutcome> summarise_answers(const PreparedTask& task, std::vector<DocumentOutcome> answers,
                                              const EvaluateOptions& options = {});

/// The metrics of one question from its scores (first maximum wins). Errors: non_finite.
MOE_API Result<DocumentOutcome> score_document(const TaskSpec& task, const Document& document,
                                               std::vector<Score> scores);

/// The metrics of one question from the model's reply; wrong, with Failure::match_limit, when a pattern hits its
/// limits.
/// Errors: out_of_memory.
MOE_API Result<DocumentOutcome> score_reply(const TaskSpec& task, const Document& document, Generation reply);

/// Mean with its standard error; a perplexity gets a bootstrap of `bootstrap_count` resamples, a Brier score none (as
/// in the reference harness). After `cancelled`, the result is meaningless.
MOE_API MetricValue aggregate(Metric metric, std::span<const double> values, std::int64_t bootstrap_count,
                              const ParallelFor& threads = {}, const std::function<bool()>& cancelled = {});

/// word_perplexity, byte_perplexity and bits_per_byte: by the log-likelihoods of texts and their sizes. No standard
/// error, as in the reference harness.
MOE_API MetricValue aggregate_texts(Metric metric, std::span<const double> log_likelihoods,
                                    std::span<const std::int64_t> sizes);

/// Micro average of subtasks and the pooled standard error of the reference harness.
MOE_API MetricValue pool(std::span<const MetricValue> parts, std::span<const std::int64_t> counts);

}  // namespace moe::inline MOE_ABI::eval

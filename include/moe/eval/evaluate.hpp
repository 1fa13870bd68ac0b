#pragma once
// Asks one model one task and aggregates what comes back, as the reference harness does.

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

/// Mean of a metric with its standard error; none for fewer than two questions.
struct MetricValue {
  double value = 0;
  std::optional<double> standard_error = {};
};

/// One question, one model.
struct DocumentOutcome {
  std::vector<Score> scores = {};          ///< one per continuation; with acc_mutual_info, then one per answer alone
  std::vector<std::string> filtered = {};  ///< of generation tasks: the answer that each of TaskSpec::filters found
  std::optional<Generation> reply = {};    ///< of generation tasks
  std::vector<double> metrics = {};        ///< one per TaskSpec::metrics; perplexities hold the log-likelihood
  std::int32_t prediction = -1;            ///< first maximum; -1 where there are no choices
  std::int64_t words = 0, bytes = 0;       ///< of a text that was scored as a whole
  bool tied = false;                       ///< another choice has the same log-likelihood as the prediction
  Failure failure = Failure::none;  ///< of its first request that failed: the question counts as answered wrongly
  std::int64_t flops = 0;           ///< model FLOPs (docs: one pass per distinct context + continuation[:-1])
  std::int64_t pass_tokens = 0;     ///< tokens of those passes
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

/// The questions by the values of one of their fields (TaskSpec::group_by).
struct Breakdown {
  std::string field = {};
  std::vector<Aggregate> rows = {};  ///< name: the value, "-" for questions without the field; numbers in rising order
};

struct TaskOutcome {
  std::vector<std::vector<DocumentOutcome>> documents = {};  ///< [subtask][question]
  std::vector<Aggregate> subtasks = {}, groups = {};  ///< the whole task is the last group, when there are groups
  Aggregate overall = {};                             ///< acc etc. over all questions
  std::vector<Breakdown> breakdowns = {};             ///< one per field that has more than one value
  double chance = 0;             ///< expected accuracy of guessing: mean of 1 / choices; 0 where there are none
  std::int64_t model_flops = 0;  ///< over all questions
  std::int64_t pass_tokens = 0;  ///< what a run without reuse computes
  /// Questions that were not asked and answered plainly; none is ever scored silently.
  std::int64_t truncated = 0;             ///< their context was cut from the left
  std::int64_t too_long = 0;              ///< not asked, an answer does not fit the model: counted as wrong
  std::int64_t non_finite = 0;            ///< the model's logits were not finite: counted as wrong
  std::int64_t match_limit = 0;           ///< a filter's pattern gave up on the reply: counted as wrong
  std::int64_t skipped = 0;               ///< in the file, left out by the limit
  std::int64_t tied = 0;                  ///< several best answers: the first counts
  std::int64_t reencoded = 0;             ///< an answer vanished inside a token of the prompt and was encoded alone
  Work executed = {};                     ///< of this task
  std::optional<ExpertUse> experts = {};  ///< of the tokens in `executed`; none where no token met an expert
  double seconds = 0;
  /// The whole machine's while this task ran; none where it could not be measured (EnergyMeter).
  std::optional<double> joules = {};
};

struct EvaluateOptions {
  std::int64_t bootstrap_count = 100000;  ///< resamples for the standard error of a perplexity
  ParallelFor threads = {};
  Hooks hooks = {};
  std::string system_root = {};  ///< stands before the paths of energy counters (tests)
};

/// Errors: those of LanguageModel::score; cancelled; non_finite naming the question whose score is no number though nothing failed.
MOE_API Result<TaskOutcome> evaluate(const PreparedTask& task, LanguageModel& model,
                                     const EvaluateOptions& options = {});

/// Its two halves, for those who ask block by block. out[i] belongs to questions[i], whatever else is asked with it.
/// tallies[i]: which of ExpertLoad::tallies counts its experts; 0 where there is none. Errors: as evaluate.
MOE_API Result<std::vector<DocumentOutcome>> answer(const PreparedTask& task, std::span<const QuestionIndex> questions,
                                                    LanguageModel& model, const Hooks& hooks = {},
                                                    std::span<const std::int32_t> tallies = {});
/// All but `executed`, `experts`, `seconds` and `joules`, which the caller has measured. `answers`: of all_questions(task), one each, of a
/// task with at least one. Errors: bad_argument for another number of answers; cancelled.
MOE_API Result<TaskOutcome> summarise_answers(const PreparedTask& task, std::vector<DocumentOutcome> answers,
                                              const EvaluateOptions& options = {});

/// The metrics of one question from its scores (first maximum wins). Errors: non_finite.
MOE_API Result<DocumentOutcome> score_document(const TaskSpec& task, const Document& document,
                                               std::vector<Score> scores);

/// The metrics of one question from the model's reply; wrong, with Failure::match_limit, where a pattern gives up on it.
/// Errors: out_of_memory.
MOE_API Result<DocumentOutcome> score_reply(const TaskSpec& task, const Document& document, Generation reply);

/// Mean with its standard error; a perplexity gets a bootstrap of `bootstrap_count` resamples, a Brier score none (as in
/// the reference harness). Once it is `cancelled`, the result means nothing.
MOE_API MetricValue aggregate(Metric metric, std::span<const double> values, std::int64_t bootstrap_count,
                              const ParallelFor& threads = {}, const std::function<bool()>& cancelled = {});

/// word_perplexity, byte_perplexity and bits_per_byte: by the log-likelihoods of texts and their sizes. No standard
/// error, as in the reference harness.
MOE_API MetricValue aggregate_texts(Metric metric, std::span<const double> log_likelihoods,
                                    std::span<const std::int64_t> sizes);

/// Micro average of subtasks and the pooled standard error of the reference harness.
MOE_API MetricValue pool(std::span<const MetricValue> parts, std::span<const std::int64_t> counts);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Reads run.json: untrusted, checked member by member. Nothing else in the project reads that file.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/report/checks.hpp"
#include "moe/eval/report.hpp"
#include "moe/eval/run_report.hpp"

namespace moe::inline MOE_ABI::eval::read {

using Interval = std::optional<std::pair<double, double>>;

struct Metric {
  std::string key;
  std::optional<double> value, standard_error;  ///< a value that is no finite number is null in the file
};

/// A subtask, a group, or the questions of one value of a field.
struct Row {
  std::string name;
  bool is_group = false;
  std::int64_t questions = 0;
  std::optional<std::int64_t> model_flops;
  std::vector<Metric> metrics;
};

struct Breakdown {
  std::string field;
  std::vector<Row> rows;
};

/// How often the router chose each expert, layer by layer.
struct Experts {
  struct Load {
    std::string name;  ///< of a subject; empty for all questions
    std::int64_t tokens = 0;
    std::vector<std::vector<std::int64_t>> counts;  ///< [layer][expert]
  };
  std::vector<std::int64_t> layers;  ///< index of each layer in the model
  Load all;
  std::vector<double> entropy_bits;  ///< one per layer
  std::vector<Load> subjects;
  std::optional<double> mean_experts_per_token;
};

struct Task {
  std::string name, version, question_file, hash;
  std::string questions_hash;   ///< of the questions that were asked; older files have none
  std::string accuracy_metric;  ///< which of a row's metrics `accuracy` is; empty in older files: the first
  std::int64_t shots = 0, questions = 0;
  std::optional<double> accuracy, standard_error, chance_corrected, weight_bytes_per_question, joules;
  Interval interval;
  double chance = 0, flops_per_question = 0, seconds = 0;
  std::int64_t model_flops = 0, tokens = 0, executed_flops = 0, executed_tokens = 0;
  std::int64_t stored_answers = 0;   ///< not computed: `seconds` and `joules` are then not the cost of the exam
  std::vector<std::int64_t> checks;  ///< as kChecks names them
  std::vector<Row> rows;
  std::vector<Breakdown> by;
  std::optional<Experts> experts;
  /// Iso-accuracy compute; `value` alone where several runs are joined.
  std::optional<ComputeMultiplier> multiplier;
  std::vector<std::string> reference;  ///< models that `multiplier` is taken against; empty: all others
};

struct Model {
  std::string name, path, hash, content_hash, family, formats, precision, kv;
  std::vector<std::string> notes, unread_keys;
  std::string top_k_text;                    ///< "4", or "4,4,3" where layers differ
  std::optional<double> top_k, expert_mass;  ///< where all layers have one value
  std::int64_t total_parameters = 0, active_parameters = 0, weight_flops_per_token = 0, weight_bytes_per_token = 0;
  std::int64_t resident_bytes = 0, session_bytes = 0, max_length = 0;
  std::string template_sha256;  ///< of a chat template; empty: none
  std::vector<Task> tasks;
};

struct Gap {
  std::string name;  ///< of a subject
  std::optional<std::int64_t> questions, questions_needed;
  double gap = 0, p = 1, p_holm = 1;
  std::optional<double> standard_error, mde;
  Interval interval;
  std::int64_t only_a = 0, only_b = 0;
  bool distinguishable = false;
};

struct Comparison : Gap {
  struct By {
    std::string field;
    std::vector<Gap> rows;
  };
  std::string task, a, b;  ///< names; `a` and `b` are models of this run that have answered the task
  std::vector<By> by;
};

/// Best of family `a` against best of family `b`; gap.best_a and best_b are indices into Run::models.
struct FamilyFinding {
  std::string task, a, b;
  std::vector<std::string> models_a, models_b;
  FamilyGap gap;
};

struct Run {
  std::string file, started, version, compiler, isa, baseline, system_instruction, think_end;
  double seconds = 0, limit = 0;
  std::int64_t numerics_version = 0, threads = 0;
  std::uint64_t seed = 0;
  std::vector<std::string> command;
  std::vector<Model> models;
  std::vector<Comparison> comparisons;
  std::optional<UntilKnown> until_known;  ///< its pairs and models are those of `models`
  std::vector<FamilyFinding> family_gaps;
  std::optional<MachinePeaks> peaks;
};

/// Errors: bad_file, "FILE: MEMBER is FOUND, expected EXPECTED".
Result<Run> read_run(const RunText& run);

}  // namespace moe::inline MOE_ABI::eval::read

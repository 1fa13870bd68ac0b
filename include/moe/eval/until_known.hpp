#pragma once
// Comparison with early stopping: several models answer the same questions in random order, block by block, until it is
// known which is better.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/eval/evaluate.hpp"

namespace moe::inline MOE_ABI::eval {

struct UntilKnownOptions {
  double alpha = 0.05;            ///< in (0, 1): bound on the probability that any verdict of the run is wrong
  double margin = 0;              ///< in [0, 1]: models whose gap is certainly smaller count as equal; 0: never
  std::uint64_t seed = 1234;      ///< of the order of clusters
  std::int64_t first_block = 64;  ///< questions before the first look; later blocks are an eighth of those asked
  std::optional<std::size_t> baseline = {};  ///< compare all others with this model; empty: every pair
  EvaluateOptions evaluate = {};
  /// Called before each block: questions asked so far, their total number, undecided pairs.
  std::function<void(std::int64_t asked, std::int64_t of_all, std::size_t open_pairs)> on_block = {};
};

enum class Verdict {
  open,  ///< undecided after all questions
  a_better,
  b_better,
  equal,  ///< the gap is smaller than the margin
};
constexpr std::string_view name_of(Verdict value) noexcept {
  switch (value) {
    case Verdict::open: return "open";
    case Verdict::a_better: return "a_better";
    case Verdict::b_better: return "b_better";
    case Verdict::equal: return "equal";
  }
  return "";
}

/// The result for two models, at the deciding look or at the last one.
struct PairVerdict {
  std::size_t a = 0, b = 0;
  Verdict verdict = Verdict::open;
  double gap = 0;                ///< accuracy of a minus accuracy of b, on the questions that both were asked
  double lower = -1, upper = 1;  ///< of the gap: with probability 1 - alpha valid at every look, for all pairs
  double p_value = 1;            ///< anytime-valid, for this pair alone; significant below pair_alpha
  std::int64_t questions = 0, only_a = 0, only_b = 0;
};

/// Questions and compute of one model.
struct ModelUse {
  std::int64_t questions = 0;
  std::int64_t model_flops = 0;  ///< exact, of the questions that were asked
  double unasked_flops = 0;      ///< estimate for the questions not asked, from the mean of those asked
  std::int64_t executed_flops = 0;
};

struct UntilKnown {
  double alpha = 0, pair_alpha = 0, margin = 0;
  std::uint64_t seed = 0;
  std::int64_t question_count = 0, cluster_count = 0, largest_cluster = 0;  ///< of the whole exam
  std::int64_t asked = 0;                                                   ///< most questions that any model was asked
  std::int64_t looks = 0;
  std::vector<PairVerdict> pairs = {};
  std::vector<ModelUse> models = {};
};

/// A model and its tasks: the same questions for all models, perhaps with different prompts.
struct Contestant {
  std::string name = {};  ///< for error messages
  LanguageModel* model = nullptr;
  std::span<const PreparedTask> tasks = {};
};

struct UntilKnownOutcome {
  UntilKnown summary = {};
  std::vector<std::vector<PreparedTask>> asked = {};    ///< [model][task]: its part of each task, never empty
  std::vector<std::vector<TaskOutcome>> outcomes = {};  ///< of those parts
};

/// Asks clusters of questions of all tasks in one uniformly random order. After each block, the confidence sequence of
/// each pair is checked, at level alpha / pairs. A model stops when all its pairs are decided. The first block is
/// extended to contain a question of each task.
/// Errors: check_until_known's; as evaluate, naming model and task.
MOE_API Result<UntilKnownOutcome> ask_until_known(std::span<const Contestant> contestants,
                                                  const UntilKnownOptions& options = {});

/// Checks that models can be compared on these tasks: at least two models, and answers that are right or wrong. Call it
/// before loading models. Errors: bad_argument, unsupported.
MOE_API Result<void> check_until_known(std::size_t model_count, std::span<const PreparedTask> tasks,
                                       const UntilKnownOptions& options = {});

}  // namespace moe::inline MOE_ABI::eval

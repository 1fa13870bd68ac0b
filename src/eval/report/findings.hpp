#pragma once
// Findings over all runs: results by task, the front, and which gaps are real, in words.

#include <optional>
#include <string>
#include <vector>

#include "eval/report/run_reader.hpp"

namespace moe::inline MOE_ABI::eval {

/// One model's result on one task.
struct ModelResult {
  std::size_t run = 0, model = 0, task = 0;  ///< indices into the runs
  std::string label;  ///< the model's name, with its run where several runs have one of that name
  const read::Model* of_model = nullptr;
  const read::Task* of_task = nullptr;
  bool front = false;            ///< no other is both cheaper and better
  ComputeMultiplier multiplier;  ///< with an interval where all results are of one run
  /// JSON pointer after the run's index: "0/models/1/tasks/2".
  std::string at() const;
  std::string model_at() const;
};

struct PairFinding {
  std::size_t run = 0, comparison = 0;
  std::string a, b;  ///< labels
  const read::Comparison* gap = nullptr;
  std::string at() const;
};

/// Results on the same questions: same task, same file of it, as many questions and worked examples.
struct Section {
  std::string task, title;  ///< `title`: the task, with the number of worked examples where it is there twice
  std::int64_t questions = 0, of_all = 0, shots = 0;  ///< `of_all`: as many as there were without a limit
  double chance = 0;
  bool is_part = false;  ///< of a run with early stopping: questions that were drawn
  std::vector<ModelResult> results;
  std::vector<PairFinding> pairs;
  std::string headline;              ///< one sentence
  std::vector<std::string> details;  ///< a sentence each
  bool has_accuracy() const;
};

/// The runs must outlive the result.
std::vector<Section> find_sections(const std::vector<read::Run>& runs);

/// "A is better", "not distinguishable".
std::string verdict_of(const read::Gap& gap, const std::string& a, const std::string& b);

}  // namespace moe::inline MOE_ABI::eval

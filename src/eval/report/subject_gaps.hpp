#pragma once
// The paired gap between two models, subject by subject.

#include <functional>
#include <string>
#include <vector>

#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {

struct SubjectGap {
  std::string name;
  PairedGap gap;
  double adjusted_p = 1;  ///< Holm over all rows of this field, of all pairs on the task
  bool distinguishable() const { return adjusted_p < 0.05; }
};

/// The rows of one comparison by one field: "subtask", or one of TaskSpec::group_by.
struct SubjectGaps {
  std::size_t comparison = 0;  ///< index into what compare_models gave
  std::string field;
  std::vector<SubjectGap> rows;  ///< two or more, in the order of the tables
};

/// By comparison, then by field. None for tasks without an accuracy.
std::vector<SubjectGaps> compare_subjects(const RunReport& report, const std::vector<Comparison>& comparisons);

}  // namespace moe::inline MOE_ABI::eval

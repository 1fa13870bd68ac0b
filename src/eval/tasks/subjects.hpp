#pragma once
// Subjects of questions, for statistics by subject.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

struct SubjectNames {
  std::vector<std::string> names;
  std::vector<std::int32_t> of_question;  ///< index into `names`, in the order of the questions
};

/// The subtasks; for a task without them, the values of the questions' field "subject". Without either, or with too
/// many values, the whole task is one subject.
MOE_API SubjectNames subjects_of(const PreparedTask& task);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Which subject a question belongs to, for statistics by subject.

#include <cstdint>
#include <string>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

struct SubjectNames {
  std::vector<std::string> names;
  std::vector<std::int32_t> of_question;  ///< index into `names`, in the order of the questions
};

/// The subtasks; of a task in one piece, the values of the questions' field "subject". A task without either, or with
/// too many values to be a subject, is one subject by the task's name.
MOE_API SubjectNames subjects_of(const PreparedTask& task);

}  // namespace moe::inline MOE_ABI::eval

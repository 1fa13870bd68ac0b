#pragma once
// Filters of replies and exact_match, as in the reference harness.

#include <string>
#include <vector>

#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

/// Runs the steps over the replies to one question; the answer is the first remaining one.
/// Errors: those of Regex; bad_argument when take_first_k asks for more replies than there are.
MOE_API Result<std::string> apply_filter(const FilterSpec& filter, std::vector<std::string> replies);

/// Whether both texts are equal after normalisation. Errors: those of Regex.
MOE_API Result<bool> exact_match(const ExactMatchSpec& spec, const std::string& answer, const std::string& target);

/// Checks a task's filters: patterns compile, and no chain needs more than the single reply. Errors: bad_file.
MOE_API Result<void> check_filters(const TaskSpec& task);

}  // namespace moe::inline MOE_ABI::eval

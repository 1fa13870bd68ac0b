#pragma once
// What becomes of a reply before it is compared: the reference harness's filters and its exact_match.

#include <string>
#include <vector>

#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

/// Runs the steps over the replies to one question; the answer is the first of what is left.
/// Errors: those of Regex; bad_argument when take_first_k asks for more replies than there are.
MOE_API Result<std::string> apply_filter(const FilterSpec& filter, std::vector<std::string> replies);

/// Both texts, cleaned alike, are equal. Errors: those of Regex.
MOE_API Result<bool> exact_match(const ExactMatchSpec& spec, const std::string& answer, const std::string& target);

/// What the task alone shows: a pattern that does not compile, a chain that asks for more replies than the one that
/// there is. Errors: bad_file.
MOE_API Result<void> check_filters(const TaskSpec& task);

}  // namespace moe::inline MOE_ABI::eval

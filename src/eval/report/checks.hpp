#pragma once
// Counts of questions with problems (truncated, too long, tied, ...), for reports.

#include <cstdint>
#include <string_view>

#include "moe/eval/evaluate.hpp"

namespace moe::inline MOE_ABI::eval {

struct Check {
  const char* key;                   ///< in run.json
  const char* title;                 ///< in tables
  bool is_fault;                     ///< something is wrong with these questions or their answers
  std::int64_t TaskOutcome::*count;  ///< of a run that has just ended
};
inline constexpr Check kChecks[] = {
    {"truncated_questions", "truncated", true, &TaskOutcome::truncated},
    {"too_long_questions", "too long", true, &TaskOutcome::too_long},
    {"non_finite_questions", "non-finite", true, &TaskOutcome::non_finite},
    {"match_limit_questions", "match limit", true, &TaskOutcome::match_limit},
    {"skipped_questions", "skipped", false, &TaskOutcome::skipped},
    {"tied_questions", "ties", false, &TaskOutcome::tied},
    {"reencoded_questions", "re-encoded", false, &TaskOutcome::reencoded},
};
inline constexpr std::size_t kSkipped = 4;
static_assert(std::string_view(kChecks[kSkipped].key) == "skipped_questions");

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Findings of a run with early stopping, in sentences: for a terminal and for a report.

#include <string>
#include <vector>

#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {

/// "a is better than b by 9.38 points (interval +1.20 to +17.10), known after 128 questions". `names`: of the models.
std::string pair_verdict(const UntilKnown& known, const PairVerdict& pair, const std::vector<std::string>& names);

/// Questions asked, and compute spent and saved.
std::string questions_used(const UntilKnown& known);
/// Caveats about intervals and rows by subject. A sentence each.
std::vector<std::string> cautions(const UntilKnown& known);

/// "US (best: a) is better than CN (best: c) by 1.30 points (95 % interval +0.20 to +2.40)".
std::string family_verdict(const std::string& family_a, const std::string& family_b, const std::string& best_a,
                           const std::string& best_b, const FamilyGap& gap);

}  // namespace moe::inline MOE_ABI::eval

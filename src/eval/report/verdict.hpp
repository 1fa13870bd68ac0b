#pragma once
// Findings of a run, in sentences.

#include <string>

#include "moe/eval/report.hpp"

namespace moe::inline MOE_ABI::eval {

/// A line for each finding, wrapped: which models differ and which do not, or the result of a single model, and the
/// Pareto front. Empty where no task has an accuracy.
std::string render_verdict(const RunReport& report, const TableOptions& options);

/// ANSI escapes around a text, if colours are enabled.
enum class Ink { bold, good, open };
std::string inked(std::string_view text, Ink ink, const TableOptions& options);

}  // namespace moe::inline MOE_ABI::eval

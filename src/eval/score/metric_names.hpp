#pragma once
// Names of metrics in task files and results.

#include <string_view>

#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

// The order is that of enum Metric.
inline constexpr std::string_view kMetricNames[] = {
    "acc",         "acc_norm",        "perplexity",      "exact_match",  "acc_bytes", "acc_mutual_info",
    "brier_score", "word_perplexity", "byte_perplexity", "bits_per_byte"};

}  // namespace moe::inline MOE_ABI::eval

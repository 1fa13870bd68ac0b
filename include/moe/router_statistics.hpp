#pragma once
// For training a router: how evenly experts are loaded, and the bias update that balances them.

#include <cmath>
#include <cstdint>
#include <span>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// How evenly the load is spread over E experts. All values are 0 when nothing was routed.
struct LoadStatistics {
  std::int64_t assignments = 0;           ///< sum of all counts (tokens * K)
  double entropy = 0.0;                   ///< of the shares, in nats; ln E when balanced
  double normalized_entropy = 0.0;        ///< entropy / ln E, 1 when balanced; 1 for a single expert
  double max_over_mean = 0.0;             ///< 1 when balanced, E when one expert has all tokens
  double coefficient_of_variation = 0.0;  ///< standard deviation (over E, not E - 1) / mean; 0 when balanced
  std::int64_t idle_experts = 0;          ///< experts without a token
};

/// Counts how often each expert was chosen. Adds to `counts`, so that layers and batches accumulate.
///
///   ids     any number of chosen experts (Routing::ids of each token)
///   counts  [E]
///
/// Errors    bad_argument for an id outside [0, E); counts are unchanged then
[[nodiscard]] inline Result<void> count_load(std::span<const std::int32_t> ids, std::span<std::int64_t> counts) {
  for (const std::int32_t id : ids)
    if (id < 0 || static_cast<std::size_t>(id) >= counts.size())
      return fail(ErrorCode::bad_argument,
                  "load: expert " + std::to_string(id) + " of " + std::to_string(counts.size()));
  for (const std::int32_t id : ids) ++counts[static_cast<std::size_t>(id)];
  return {};
}

/// Share of expert e among all assignments; 0 when nothing was routed.
inline double load_share(std::span<const std::int64_t> counts, std::size_t e) {
  double total = 0.0;
  for (const std::int64_t n : counts) total += static_cast<double>(n);
  return total > 0.0 ? static_cast<double>(counts[e]) / total : 0.0;
}

inline LoadStatistics load_statistics(std::span<const std::int64_t> counts) {
  LoadStatistics out;
  if (counts.empty()) return out;
  double most = 0.0;
  for (const std::int64_t n : counts) {
    out.assignments += n;
    if (n == 0) ++out.idle_experts;
    most = std::fmax(most, static_cast<double>(n));
  }
  if (out.assignments <= 0) return out;
  const double total = static_cast<double>(out.assignments), experts = static_cast<double>(counts.size());
  const double mean = total / experts;
  double squares = 0.0;
  for (const std::int64_t n : counts) {
    const double share = static_cast<double>(n) / total, off = static_cast<double>(n) - mean;
    if (n > 0) out.entropy -= share * std::log(share);
    squares += off * off;
  }
  out.normalized_entropy = counts.size() > 1 ? out.entropy / std::log(experts) : 1.0;
  out.max_over_mean = most / mean;
  out.coefficient_of_variation = std::sqrt(squares / experts) / mean;
  return out;
}

/// One step of load balancing without an auxiliary loss: adds gamma to the bias of an expert below the mean load and
/// subtracts it above the mean; a bias at exactly the mean stays.
///
///   counts  [E]  assignments of the last training step
///   bias    [E]  changed in place
///
/// Errors    bad_shape, bad_argument (gamma not finite or negative); bias is unchanged then
/// Source    DeepSeek-V3 report (arXiv:2412.19437), section 2.1.2, "Auxiliary-Loss-Free Load Balancing"
[[nodiscard]] inline Result<void> update_selection_bias(std::span<const std::int64_t> counts, float gamma,
                                                        std::span<float> bias) {
  if (counts.size() != bias.size())
    return fail(ErrorCode::bad_shape,
                "bias update: " + std::to_string(counts.size()) + " loads, " + std::to_string(bias.size()) + " biases");
  if (!std::isfinite(gamma) || gamma < 0.0f)
    return fail(ErrorCode::bad_argument, "bias update: gamma must be finite and not negative");
  double total = 0.0;
  for (const std::int64_t n : counts) total += static_cast<double>(n);
  const double experts = static_cast<double>(counts.size());
  for (std::size_t e = 0; e < bias.size(); ++e) {
    // load against mean = load * E against the total: both exact below 2^53.
    const double load = static_cast<double>(counts[e]) * experts;
    if (load < total) bias[e] += gamma;
    if (load > total) bias[e] -= gamma;
  }
  return {};
}

}  // namespace moe::inline MOE_ABI

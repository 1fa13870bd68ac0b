#include "moe/eval/multiplier.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "eval/score/cluster_bootstrap.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr double kBelow = 0.0, kAbove = std::numeric_limits<double>::infinity();

struct FrontPoint {
  double flops, accuracy;
};

// Cheapest first, each more accurate than all before it.
std::vector<FrontPoint> front_of(std::vector<FrontPoint> points) {
  std::sort(points.begin(), points.end(), [](const FrontPoint& x, const FrontPoint& y) {
    return x.flops != y.flops ? x.flops < y.flops : x.accuracy > y.accuracy;
  });
  double best = -1;
  std::erase_if(points, [&](const FrontPoint& p) {
    const bool beaten = p.accuracy <= best;
    best = std::max(best, p.accuracy);
    return beaten;
  });
  return points;
}

// kBelow and kAbove where the front has no such accuracy.
double needed(const std::vector<FrontPoint>& front, double accuracy) {
  if (front.empty() || accuracy < front.front().accuracy) return kBelow;
  if (accuracy > front.back().accuracy) return kAbove;
  for (std::size_t i = 0; i + 1 < front.size(); ++i) {
    const FrontPoint &low = front[i], &high = front[i + 1];
    if (accuracy > high.accuracy) continue;
    const double share = (accuracy - low.accuracy) / (high.accuracy - low.accuracy);
    return std::exp(std::log(low.flops) + share * (std::log(high.flops) - std::log(low.flops)));
  }
  return front.back().flops;
}

// Of every model; kBelow, kAbove.
std::vector<double> ratios(std::span<const double> flops, std::span<const double> accuracy,
                           const std::vector<bool>& reference) {
  std::vector<double> out;
  for (std::size_t model = 0; model < flops.size(); ++model) {
    std::vector<FrontPoint> others;
    for (std::size_t i = 0; i < flops.size(); ++i)
      if (i != model && flops[i] > 0 && (reference.empty() || reference[i])) others.push_back({flops[i], accuracy[i]});
    out.push_back(flops[model] > 0 ? needed(front_of(std::move(others)), accuracy[model]) / flops[model] : kBelow);
  }
  return out;
}

std::optional<double> placed(double ratio) {
  return ratio > kBelow && ratio < kAbove ? std::optional(ratio) : std::nullopt;
}

Result<void> check(std::span<const std::vector<double>> flops, std::span<const std::vector<double>> scores,
                   std::size_t questions, const std::vector<bool>& reference) {
  const auto wrong = [](const char* what, std::size_t found, std::size_t expected) {
    return fail(ErrorCode::bad_argument, "compute_multipliers: " + std::to_string(found) + " " + what + ", expected " +
                                             std::to_string(expected));
  };
  if (questions == 0) return fail(ErrorCode::bad_argument, "compute_multipliers: no question");
  if (scores.size() != flops.size()) return wrong("models with scores", scores.size(), flops.size());
  if (!reference.empty() && reference.size() != flops.size())
    return wrong("marks of a reference", reference.size(), flops.size());
  for (std::size_t m = 0; m < flops.size(); ++m) {
    if (flops[m].size() != questions) return wrong("FLOPs of a model", flops[m].size(), questions);
    if (scores[m].size() != questions) return wrong("scores of a model", scores[m].size(), questions);
  }
  return {};
}

}  // namespace

std::vector<std::optional<double>> compute_multipliers(std::span<const double> flops, std::span<const double> accuracy,
                                                       const std::vector<bool>& reference) {
  std::vector<std::optional<double>> out;
  for (const double ratio : ratios(flops, accuracy, reference)) out.push_back(placed(ratio));
  return out;
}

Result<std::vector<ComputeMultiplier>> compute_multipliers(std::span<const std::vector<double>> flops,
                                                           std::span<const std::vector<double>> scores,
                                                           std::span<const std::string> clusters,
                                                           const MultiplierOptions& options) {
  if (auto ok = check(flops, scores, clusters.size(), options.reference); !ok) return forward(ok);
  const std::size_t models = flops.size();
  std::vector<std::span<const double>> columns(flops.begin(), flops.end());
  columns.insert(columns.end(), scores.begin(), scores.end());
  ClusterBootstrap bootstrap(columns, clusters, options.seed);

  // Means of compute, then of scores.
  const auto ratios_of = [&](std::vector<double>& sums, double questions) {
    for (double& sum : sums) sum /= questions;
    return ratios(std::span(sums).first(models), std::span(sums).subspan(models), options.reference);
  };
  std::vector<double> sums = bootstrap.totals();
  const std::vector<double> values = ratios_of(sums, static_cast<double>(clusters.size()));
  std::vector<std::vector<double>> replicates(models);
  for (std::int64_t r = 0; r < options.replicates && bootstrap.cluster_count() > 1; ++r) {
    if (options.cancelled && options.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    const double questions = bootstrap.draw(sums);
    const std::vector<double> drawn = ratios_of(sums, questions);
    for (std::size_t m = 0; m < models; ++m) replicates[m].push_back(drawn[m]);
  }
  std::vector<ComputeMultiplier> out(models);
  for (std::size_t m = 0; m < models; ++m) {
    out[m].value = placed(values[m]);
    if (replicates[m].empty()) continue;
    std::sort(replicates[m].begin(), replicates[m].end());
    out[m].low = placed(percentile(replicates[m], 0.025)), out[m].high = placed(percentile(replicates[m], 0.975));
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

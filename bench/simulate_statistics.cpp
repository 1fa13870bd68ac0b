// The figures of docs/STATISTICS.md: how often intervals cover, tests err and sequential runs stop, by simulation.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "moe/eval/sequential.hpp"
#include "moe/eval/statistics.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"

namespace {

namespace eval = moe::eval;
using Random = std::mt19937_64;

// In [0, 1): the same on every standard library, as std's distributions are not.
double uniform(Random& random) { return static_cast<double>(random() >> 11) * 0x1p-53; }

// a - b of one question: discordant in that share of cases, with that mean.
double difference(Random& random, double gap, double discordant) {
  const double u = uniform(random);
  return u < (discordant + gap) / 2 ? 1 : u < discordant ? -1 : 0;
}

std::string percent(std::int64_t part, std::int64_t all) {
  return fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

moe::Result<void> wilson(std::int64_t runs, Random& random, std::string& out) {
  for (const auto& [count, truth] : {std::pair{100, 0.25}, {100, 0.9}, {1000, 0.88}}) {
    std::int64_t covered = 0;
    for (std::int64_t r = 0; r < runs; ++r) {
      std::int64_t right = 0;
      for (int i = 0; i < count; ++i) right += uniform(random) < truth;
      const auto [low, high] = eval::wilson_interval(right, count);
      covered += low <= truth && truth <= high;
    }
    out += fmt::format("| Wilson, {} questions, accuracy {:g} | {} |\n", count, truth, percent(covered, runs));
  }
  return {};
}

// Clusters of 1 to 5 questions share a part of their difficulty; paired differences of two models.
moe::Result<void> clustered(std::int64_t runs, Random& random, std::string& out) {
  constexpr int kClusters = 200;
  for (const bool paired : {false, true}) {
    std::int64_t covered = 0, ignoring = 0;
    for (std::int64_t r = 0; r < runs; ++r) {
      std::vector<double> values;
      std::vector<std::string> names;
      for (int c = 0; c < kClusters; ++c) {
        const double level = uniform(random);
        const int size = 1 + static_cast<int>(uniform(random) * 5);
        for (int i = 0; i < size; ++i) {
          values.push_back(paired ? difference(random, 0.1 * (level - 0.5) * 4, 0.3) : uniform(random) < level);
          names.push_back(std::to_string(c));
        }
      }
      const double truth = paired ? 0 : 0.5;
      double mean = 0;
      for (double x : values) mean += x / static_cast<double>(values.size());
      covered += std::abs(mean - truth) <= 1.959963984540054 * *eval::clustered_standard_error(values, names);
      ignoring += std::abs(mean - truth) <= 1.959963984540054 * *eval::standard_error(values);
    }
    out += fmt::format("| {}, {} clusters of 1 to 5 | {} (clusters ignored: {}) |\n",
                       paired ? "paired and clustered" : "clustered", kClusters, percent(covered, runs),
                       percent(ignoring, runs));
  }
  return {};
}

moe::Result<void> paired(std::int64_t runs, Random& random, std::string& out) {
  constexpr int kQuestions = 1000, kModels = 5;
  for (const double gap : {0.0, 0.03}) {
    std::int64_t covered = 0;
    for (std::int64_t r = 0; r < runs; ++r) {
      std::vector<double> values(kQuestions);
      double mean = 0;
      for (double& d : values) mean += (d = difference(random, gap, 0.16)) / kQuestions;
      covered += std::abs(mean - gap) <= 1.959963984540054 * *eval::standard_error(values);
    }
    out += fmt::format("| paired, {} questions, gap {:g} points, 16 % discordant | {} |\n", kQuestions, 100 * gap,
                       percent(covered, runs));
  }
  // Five equal models, ten pairs: any rejection is false.
  std::int64_t false_runs = 0, uncorrected = 0;
  for (std::int64_t r = 0; r < runs; ++r) {
    std::vector<std::vector<double>> scores(kModels, std::vector<double>(300));
    for (std::size_t i = 0; i < 300; ++i) {
      const double level = uniform(random);
      for (auto& model : scores) model[i] = uniform(random) < level;
    }
    std::vector<double> p_values;
    for (std::size_t a = 0; a < kModels; ++a)
      for (std::size_t b = 0; b < a; ++b) {
        const auto gap = eval::paired_gap(scores[a], scores[b]);
        if (!gap) return moe::forward(gap);
        p_values.push_back(gap->p_value);
      }
    const std::vector<double> adjusted = eval::holm(p_values);
    false_runs += *std::min_element(adjusted.begin(), adjusted.end()) < 0.05;
    uncorrected += *std::min_element(p_values.begin(), p_values.end()) < 0.05;
  }
  out += fmt::format("| Holm, 5 equal models: runs with a false pair (at most 5 %) | {} (uncorrected: {}) |\n",
                     percent(false_runs, runs), percent(uncorrected, runs));
  // At the minimum detectable effect a two-sided 5 % test should find 80 %.
  std::int64_t found = 0;
  const double gap = eval::minimum_detectable_effect(std::sqrt(0.2 / 2000));
  for (std::int64_t r = 0; r < runs; ++r) {
    std::int64_t only_a = 0, only_b = 0;
    for (int i = 0; i < 2000; ++i) {
      const double d = difference(random, gap, 0.2);
      only_a += d > 0, only_b += d < 0;
    }
    found += eval::mcnemar_mid_p(only_a, only_b) < 0.05;
  }
  out += fmt::format("| power at the MDE, 2,000 questions, 20 % discordant | {} |\n", percent(found, runs));
  return {};
}

// One sequential comparison: the true gap, what was found, after how many questions.
struct Truth {
  std::string name;
  double gap = 0, discordant = 0.2;
  std::int64_t questions = 14042;
  int largest_cluster = 1;
  bool opposite_halves = false;  // subjects with gaps of +10 and -10 points, one asked after the other
  bool in_random_order = true;
};

struct Stop {
  int sign = 0;
  std::int64_t questions = 0;
  bool covered = true;
};

double local_gap(const Truth& truth, Random& random, std::int64_t asked) {
  if (!truth.opposite_halves) return truth.gap;
  const bool first = truth.in_random_order ? uniform(random) < 0.5 : asked < truth.questions / 2;
  return first ? 0.1 : -0.1;
}

moe::Result<Stop> run_once(const Truth& truth, Random& random) {
  eval::GapSequence sequence(0.05, truth.largest_cluster);
  Stop stop;
  std::int64_t only_a = 0, only_b = 0, next_look = 64;
  while (stop.questions < truth.questions && stop.sign == 0) {
    const int size = 1 + static_cast<int>(uniform(random) * truth.largest_cluster);
    // The questions of a cluster lean to one side together.
    const double lean = truth.largest_cluster > 1 ? (uniform(random) < 0.5 ? 0.08 : -0.08) : 0;
    const double gap = local_gap(truth, random, stop.questions) + lean;
    double sum = 0;
    for (int i = 0; i < size; ++i) {
      const double d = difference(random, gap, truth.discordant);
      only_a += d > 0, only_b += d < 0;
      sum += d;
    }
    if (auto added = sequence.add(sum, size); !added) return moe::forward(added);
    stop.questions += size;
    if (truth.largest_cluster == 1) {  // looked at after every question
      if (eval::log_mixture_martingale(only_a, only_b) >= std::log(20.0)) stop.sign = only_a > only_b ? 1 : -1;
    }
    if (stop.questions < next_look && stop.sign == 0) continue;
    sequence.look();
    next_look = stop.questions + std::max<std::int64_t>(truth.largest_cluster > 1 ? 16 : 64, stop.questions / 8);
    stop.covered = stop.covered && sequence.lower() <= truth.gap && truth.gap <= sequence.upper();
    if (truth.largest_cluster > 1) stop.sign = sequence.lower() > 0 ? 1 : sequence.upper() < 0 ? -1 : 0;
  }
  return stop;
}

moe::Result<void> sequential(std::int64_t runs, Random& random, std::string& out) {
  out += "\n| truth | decided | wrong | median questions | interval always covers |\n|---|---|---|---|---|\n";
  for (const Truth& truth :
       {Truth{"equal, 20 % discordant"}, Truth{"equal, clusters of 1 to 5", 0, 0.2, 14042, 5},
        Truth{"equal, two subjects of +10 and -10, random order", 0, 0.22, 14042, 1, true},
        Truth{"the trap: the same, one subject after the other", 0, 0.22, 14042, 1, true, false},
        Truth{"10 points, 30 % discordant", 0.1, 0.3}, Truth{"10 points, clusters of 1 to 5", 0.1, 0.3, 14042, 5},
        Truth{"3 points, 16 % discordant", 0.03, 0.16}, Truth{"2 points, 20 % discordant", 0.02, 0.2},
        Truth{"10.4 points, 22 % discordant, exam of 2,167", 0.104, 0.22, 2167}}) {
    std::int64_t decided = 0, wrong = 0, covered = 0;
    std::vector<std::int64_t> questions;
    for (std::int64_t r = 0; r < runs; ++r) {
      const auto stop = run_once(truth, random);
      if (!stop) return moe::forward(stop);
      decided += stop->sign != 0;
      wrong += stop->sign != 0 && (truth.gap <= 0 || stop->sign < 0);
      covered += stop->covered;
      questions.push_back(stop->questions);
    }
    std::sort(questions.begin(), questions.end());
    const std::int64_t median = questions[questions.size() / 2];
    out += fmt::format("| {} | {} | {} | {} ({}) | {} |\n", truth.name, percent(decided, runs), percent(wrong, runs),
                       median, percent(median, truth.questions), percent(covered, runs));
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Makes the figures of docs/STATISTICS.md.", "simulate-statistics");
  std::int64_t runs = 10000, sequential_runs = 2000;
  std::uint64_t seed = 1;
  const moe::Bounds<std::int64_t> counts{1, 1000000};
  cli::add_number(app, "--runs", runs, counts, "simulations per fixed-sample row (10000)");
  cli::add_number(app, "--sequential-runs", sequential_runs, counts, "simulations per sequential row (2000)");
  cli::add_number(app, "--seed", seed, moe::Bounds<std::uint64_t>{0, ~std::uint64_t{0}}, "of all of them (1)");
  return cli::run(app, argc, argv, [&]() -> moe::Result<void> {
    Random random(seed);
    std::string out = "| what (95 % intervals) | found |\n|---|---|\n";
    for (auto* part : {wilson, clustered, paired})
      if (auto done = part(runs, random, out); !done) return done;
    if (auto done = sequential(sequential_runs, random, out); !done) return done;
    return cli::print(out);
  });
}

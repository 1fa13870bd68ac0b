// The figures of docs/STATISTICS.md: how often intervals cover, tests err and sequential runs stop, by simulation.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "moe/eval/report.hpp"
#include "moe/eval/sequential.hpp"
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
  for (const auto& [count, truth] :
       {std::pair{10, 0.25}, {20, 0.95}, {50, 0.5}, {100, 0.25}, {100, 0.9}, {1000, 0.88}, {2167, 0.88}}) {
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

struct Sample {
  std::vector<double> values;
  std::vector<std::string> clusters;  // of each
};

// Clusters of 1 to 5 questions, which share a level: value(level) is that of one question.
template <class Value>
Sample clusters_of(int count, Random& random, const Value& value) {
  Sample out;
  for (int c = 0; c < count; ++c) {
    const double level = uniform(random);
    const int size = 1 + static_cast<int>(uniform(random) * 5);
    for (int i = 0; i < size; ++i) out.values.push_back(value(level)), out.clusters.push_back(std::to_string(c));
  }
  return out;
}

// Clusters share a part of their difficulty; paired differences of two models.
moe::Result<void> clustered(std::int64_t runs, Random& random, std::string& out) {
  for (const int clusters : {10, 30, 200})
    for (const bool paired : {false, true}) {
      std::int64_t covered = 0, ignoring = 0;
      for (std::int64_t r = 0; r < runs; ++r) {
        const auto [values, names] = clusters_of(clusters, random, [&](double level) -> double {
          return paired ? difference(random, 0.4 * (level - 0.5), 0.3) : uniform(random) < level;
        });
        const double truth = paired ? 0 : 0.5;
        double mean = 0;
        for (double x : values) mean += x / static_cast<double>(values.size());
        covered +=
            std::abs(mean - truth) <= eval::interval_factor(clusters) * *eval::clustered_standard_error(values, names);
        const auto questions = static_cast<std::int64_t>(values.size());
        ignoring += std::abs(mean - truth) <= eval::interval_factor(questions) * *eval::standard_error(values);
      }
      out += fmt::format("| {}, {} clusters of 1 to 5 | {} (clusters ignored: {}) |\n",
                         paired ? "paired and clustered" : "clustered", clusters, percent(covered, runs),
                         percent(ignoring, runs));
    }
  return {};
}

// Accuracies of few questions in such clusters.
moe::Result<void> wilson_of_clusters(std::int64_t runs, Random& shared, std::string& out) {
  Random random = shared;  // the rows that follow keep their numbers
  for (const int clusters : {10, 30})
    for (const auto& [truth, power] : {std::pair{0.5, 1.0}, {0.8, 0.25}}) {
      std::int64_t covered = 0, ignoring = 0;
      for (std::int64_t r = 0; r < runs; ++r) {
        const auto [values, names] = clusters_of(clusters, random, [&, exponent = power](double level) -> double {
          return uniform(random) < std::pow(level, exponent);
        });
        const auto questions = static_cast<std::int64_t>(values.size());
        const auto right = std::count(values.begin(), values.end(), 1.0);
        const eval::Accuracy accuracy{static_cast<double>(right) / static_cast<double>(questions),
                                      eval::clustered_standard_error(values, names), clusters};
        // Below 100 questions and above, as a report has them.
        const auto ends = eval::interval_of(accuracy, questions);
        covered += ends && ends->first <= truth && truth <= ends->second;
        const auto [low, high] = eval::wilson_interval(right, questions);
        ignoring += low <= truth && truth <= high;
      }
      out += fmt::format("| of a report, {} clusters of 1 to 5, accuracy {:g} | {} (clusters ignored: {}) |\n",
                         clusters, truth, percent(covered, runs), percent(ignoring, runs));
    }
  return {};
}

moe::Result<void> paired(std::int64_t runs, Random& random, std::string& out) {
  for (const auto& [questions, gap] : {std::pair{100, 0.0}, {1000, 0.0}, {1000, 0.03}}) {
    std::int64_t covered = 0;
    for (std::int64_t r = 0; r < runs; ++r) {
      std::vector<double> values(static_cast<std::size_t>(questions));
      double mean = 0;
      for (double& d : values) mean += (d = difference(random, gap, 0.16)) / questions;
      covered += std::abs(mean - gap) <=
                 eval::interval_factor(static_cast<std::int64_t>(values.size())) * *eval::standard_error(values);
    }
    out += fmt::format("| paired, {} questions, gap {:g} points, 16 % discordant | {} |\n", questions, 100 * gap,
                       percent(covered, runs));
  }
  return {};
}

// Five equal models, ten pairs: any rejection is false.
moe::Result<void> holm(std::int64_t runs, Random& random, std::string& out) {
  constexpr int kModels = 5;
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
  return {};
}

// At the minimum detectable effect, and with the questions that a gap needs, a two-sided 5 % test should find 80 %.
moe::Result<void> power(std::int64_t runs, Random& random, std::string& out) {
  const auto found = [&](double gap, double discordant, std::int64_t questions) {
    std::int64_t count = 0;
    for (std::int64_t r = 0; r < runs; ++r) {
      std::int64_t only_a = 0, only_b = 0;
      for (std::int64_t i = 0; i < questions; ++i) {
        const double d = difference(random, gap, discordant);
        only_a += d > 0, only_b += d < 0;
      }
      count += eval::mcnemar_mid_p(only_a, only_b) < 0.05;
    }
    return percent(count, runs);
  };
  const double mde = eval::minimum_detectable_effect(std::sqrt(0.2 / 2000));
  out += fmt::format("| power at the MDE ({:.2f} points), 2,000 questions, 20 % discordant (80 %) | {} |\n", 100 * mde,
                     found(mde, 0.2, 2000));
  eval::PairedGap gap;
  gap.question_count = 1000, gap.gap = 0.03, gap.standard_error = std::sqrt((0.16 - 0.03 * 0.03) / 1000);
  const std::int64_t needed = eval::questions_needed(gap).value_or(0);
  out += fmt::format("| power with the {} questions that 3 points at 16 % discordant need (80 %) | {} |\n", needed,
                     found(0.03, 0.16, needed));
  return {};
}

// One sequential comparison: the true gap, what was found, after how many questions.
struct Truth {
  std::string name;
  double gap = 0, discordant = 0.2, margin = 0;
  std::int64_t questions = 14042;
  int largest_cluster = 1;
  double opposite = 0;  // subjects with gaps of so much more and less, one half of the exam each
  bool in_random_order = true;
  bool after_every_question = false;  // by the mixture martingale, as a library's caller may
};

struct Stop {
  int sign = 0;
  bool equal = false, covered = true;
  std::int64_t questions = 0;
};

double local_gap(const Truth& truth, Random& random, std::int64_t asked) {
  const bool first = truth.in_random_order ? uniform(random) < 0.5 : asked < truth.questions / 2;
  return truth.gap + (first ? truth.opposite : -truth.opposite);
}

// Blocks as moe-eval asks them: 64 questions, later an eighth of those asked.
moe::Result<Stop> run_once(const Truth& truth, Random& random) {
  eval::GapSequence sequence(0.05, truth.largest_cluster);
  Stop stop;
  std::int64_t only_a = 0, only_b = 0, next_look = 64;
  while (stop.questions < truth.questions && stop.sign == 0 && !stop.equal) {
    const int size = 1 + static_cast<int>(uniform(random) * truth.largest_cluster);
    // The questions of a cluster are correlated.
    const double lean = truth.largest_cluster > 1 ? (uniform(random) < 0.5 ? 0.08 : -0.08) : 0;
    const double gap = local_gap(truth, random, stop.questions) + lean;
    double sum = 0;
    for (int i = 0; i < size; ++i) {
      const double d = difference(random, gap, truth.discordant);
      only_a += d > 0, only_b += d < 0;
      sum += d;
    }
    stop.questions += size;
    if (truth.after_every_question) {
      if (eval::log_mixture_martingale(only_a, only_b) >= std::log(20.0)) stop.sign = only_a > only_b ? 1 : -1;
      continue;
    }
    if (auto added = sequence.add(sum, size); !added) return moe::forward(added);
    if (stop.questions < next_look && stop.questions < truth.questions) continue;
    sequence.look();
    next_look = stop.questions + std::max<std::int64_t>(64, stop.questions / 8);
    stop.covered = stop.covered && sequence.lower() <= truth.gap && truth.gap <= sequence.upper();
    stop.sign = sequence.lower() > 0 ? 1 : sequence.upper() < 0 ? -1 : 0;
    stop.equal = stop.sign == 0 && sequence.lower() > -truth.margin && sequence.upper() < truth.margin;
  }
  return stop;
}

std::vector<Truth> truths() {
  return {{.name = "equal"},
          {.name = "equal, the mixture martingale after every question", .after_every_question = true},
          {.name = "equal, clusters of 1 to 5", .largest_cluster = 5},
          {.name = "equal, two subjects of +10 and -10, random order", .discordant = 0.22, .opposite = 0.1},
          {.name = "the trap: the same, one subject after the other",
           .discordant = 0.22,
           .opposite = 0.1,
           .in_random_order = false},
          {.name = "10 points, 30 % discordant", .gap = 0.1, .discordant = 0.3},
          {.name = "10 points, 30 %, clusters of 1 to 5", .gap = 0.1, .discordant = 0.3, .largest_cluster = 5},
          {.name = "10.4 points, 22 %, exam of 2,167", .gap = 0.104, .discordant = 0.22, .questions = 2167},
          {.name = "3 points, 16 %", .gap = 0.03, .discordant = 0.16},
          {.name = "2 points, 20 %", .gap = 0.02},
          {.name = "0.3 points, 8 %", .gap = 0.003, .discordant = 0.08},
          {.name = "equal, 8 %, margin 2 points", .discordant = 0.08, .margin = 0.02},
          {.name = "2 points, 8 %, margin 2 points", .gap = 0.02, .discordant = 0.08, .margin = 0.02}};
}

moe::Result<void> sequential(std::int64_t runs, Random& random, std::string& out) {
  out +=
      "\n| truth (20 % discordant unless named) | sign known | wrong | equal | median questions | covered |\n"
      "|---|---|---|---|---|---|\n";
  for (const Truth& truth : truths()) {
    std::int64_t decided = 0, wrong = 0, equal = 0, covered = 0;
    std::vector<std::int64_t> questions;
    for (std::int64_t r = 0; r < runs; ++r) {
      const auto stop = run_once(truth, random);
      if (!stop) return moe::forward(stop);
      decided += stop->sign != 0, equal += stop->equal;
      wrong += (stop->sign != 0 && (truth.gap <= 0 || stop->sign < 0)) || (stop->equal && truth.gap >= truth.margin);
      covered += stop->covered;
      questions.push_back(stop->questions);
    }
    std::sort(questions.begin(), questions.end());
    const std::int64_t median = questions[questions.size() / 2];
    out += fmt::format("| {} | {} | {} | {} | {} ({}) | {} |\n", truth.name, percent(decided, runs),
                       percent(wrong, runs), truth.margin > 0 ? percent(equal, runs) : "-", median,
                       percent(median, truth.questions), truth.after_every_question ? "-" : percent(covered, runs));
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
    for (auto* part : {wilson, clustered, wilson_of_clusters, paired, holm, power})
      if (auto done = part(runs, random, out); !done) return done;
    if (auto done = sequential(sequential_runs, random, out); !done) return done;
    return cli::print(out);
  });
}

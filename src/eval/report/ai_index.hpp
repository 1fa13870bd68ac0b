#pragma once
// Data of the AI-Index view: the published table, figures derived from it, and measured models.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/report/run_reader.hpp"
#include "moe/eval/run_report.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {

/// Questions of MMLU's test split, four choices each.
inline constexpr std::int64_t kQuestions = 14042;
inline constexpr double kChance = 0.25;

enum class Kind { base, chat, instruct, reasoning };
enum class Status { on_disk, secondary, recalled };

/// A published score.
struct Row {
  std::string model, org, country, release;  ///< `release`: "2024-12"
  Kind kind = Kind::base;
  std::optional<double> total_b, active_b;  ///< parameters in billions, as published; none if not public
  std::optional<double> gflops_per_token;   ///< 2 x active matmul parameters with the LM head
  double accuracy = 0;                      ///< share
  std::string protocol, source, note;
  Status status = Status::on_disk;
  std::string reference;  ///< the reference family that the row belongs to; empty: none
  int year() const {
    return (release[0] - '0') * 1000 + (release[1] - '0') * 100 + (release[2] - '0') * 10 + release[3] - '0';
  }
  bool is_verified() const { return status == Status::on_disk; }
};

const char* name_of(Kind kind);
const char* name_of(Status status);

/// Errors: bad_file, "FILE:LINE: 'MODEL': FIELD is FOUND, expected EXPECTED".
Result<std::vector<Row>> read_rows(const RunText& csv);

/// logit(accuracy) = intercept + slope * ln(GFLOPs per token), by least squares over a dense family.
struct Reference {
  std::string family;
  std::size_t points = 0;
  double intercept = 0, slope = 0;
  double residual = 0;             ///< standard error of a point about the line, in logits; n - 2 degrees of freedom
  double lowest = 0, highest = 0;  ///< accuracy of the family
  /// GFLOPs per token at which the line reaches `accuracy`.
  double gflops_at(double accuracy) const;
  double accuracy_at(double gflops) const;
};
/// Empty for fewer than three points, or where accuracy does not rise with compute.
std::optional<Reference> fit_reference(std::span<const Row> rows);

/// Compute of the reference at equal accuracy, divided by the model's own.
struct Multiplier {
  double value = 0;
  bool is_extrapolated = false;  ///< the accuracy is outside of the reference's
};
/// Empty for an accuracy of 0 or 1.
std::optional<Multiplier> multiplier_of(const Reference& reference, double accuracy, double gflops);

/// Marks the base rows that no other base row beats in both compute and accuracy. `only_verified` leaves the others
/// out.
std::vector<bool> base_front(std::span<const Row> rows, bool only_verified = false);

/// A gap between two scores on kQuestions questions each, with its sampling noise.
struct Judgement {
  double gap = 0;             ///< first minus second, shares
  double standard_error = 0;  ///< of independent questions, unpaired: an upper bound for correlated answers
  double p = 1;               ///< two-sided, normal
  std::optional<std::int64_t> questions_needed;
  bool is_real() const { return p < 0.05; }
};
Judgement judge(double first, double second);

/// The best US row against the best CN row of one year.
struct YearGap {
  enum class Among { all, base, one_table };
  int year = 0;
  Among among = Among::all;
  const Row *us = nullptr, *cn = nullptr;
  Judgement judgement;
  /// Both scores are from one source and protocol.
  bool is_one_table() const { return us->source == cn->source && us->protocol == cn->protocol; }
};
/// By ascending year: all rows, base rows, and the rows of one table (same source, same protocol) with both countries;
/// of several tables the one whose weaker side is the strongest. Pairs are unique. The rows must outlive the result.
std::vector<YearGap> gaps_by_year(std::span<const Row> rows);

/// A gap that was published without the two scores.
struct ReportedGap {
  const char* when;
  double gap;
  double top;  ///< score of the best row
  /// The two scores are not published. Their standard error is largest if both are around 50 % (`widest`); `narrowest`
  /// assumes that the better one equals the best row of the table.
  Judgement widest, narrowest;
  /// The two agree.
  bool is_real() const { return widest.is_real() && narrowest.is_real(); }
  bool is_open() const { return !widest.is_real() && !narrowest.is_real(); }
};
/// MMLU, best US against best CN model: AI Index report 2025 (Stanford HAI), end of 2023 and end of 2024.
std::array<ReportedGap, 2> reported_gaps(std::span<const Row> rows);

/// A model of the user's own.
struct Measured {
  std::string label;  ///< the model's name; with task or run if it is not unique
  std::string file, task;
  std::string at;  ///< "0/models/1/tasks/2": run and JSON pointer
  std::int64_t questions = 0, shots = 0;
  double accuracy = 0, chance = kChance;
  std::optional<double> standard_error;
  read::Interval interval;
  double gflops_per_token = 0;      ///< of the weights: the same definition as the published rows'
  double gflops_per_run_token = 0;  ///< all model FLOPs of the run per token, including attention
};
struct MeasuredModels {
  std::vector<Measured> rows;
  std::vector<std::string> left_out;  ///< a sentence for each run with other tasks
};
/// Errors: bad_file naming the file; the task when a run asked none whose name begins with "mmlu".
Result<MeasuredModels> measured_models(std::span<const read::Run> runs);

}  // namespace moe::inline MOE_ABI::eval::ai_index

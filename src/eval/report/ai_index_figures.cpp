// Figures derived from the published table: fit, multipliers, front, gaps.

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "eval/report/ai_index.hpp"
#include "eval/report/subject_gaps.hpp"
#include "moe/eval/statistics.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

double logit(double share) { return std::log(share / (1 - share)); }
bool has_logit(double share) { return share > 0 && share < 1; }

// The best row; of equals the first in the table.
const Row* best(std::span<const Row* const> rows, std::string_view country) {
  const Row* out = nullptr;
  for (const Row* row : rows)
    if (row->country == country && (out == nullptr || row->accuracy > out->accuracy)) out = row;
  return out;
}

void add_gap(std::vector<YearGap>& out, int year, YearGap::Among among, std::span<const Row* const> rows) {
  const Row *us = best(rows, "US"), *cn = best(rows, "CN");
  if (us == nullptr || cn == nullptr) return;
  for (const YearGap& before : out)
    if (before.us == us && before.cn == cn) return;
  out.push_back({year, among, us, cn, judge(us->accuracy, cn->accuracy)});
}

// The table of both countries whose weaker side is the strongest.
std::vector<const Row*> one_table(std::span<const Row* const> rows) {
  std::map<std::pair<std::string, std::string>, std::vector<const Row*>> tables;
  for (const Row* row : rows) tables[{row->source, row->protocol}].push_back(row);
  std::vector<const Row*> out;
  double strongest = -1;
  for (const auto& [name, members] : tables) {
    const Row *us = best(members, "US"), *cn = best(members, "CN");
    if (us == nullptr || cn == nullptr) continue;
    const double weaker = std::min(us->accuracy, cn->accuracy);
    if (weaker > strongest) strongest = weaker, out = members;
  }
  return out;
}

}  // namespace

double Reference::gflops_at(double accuracy) const { return std::exp((logit(accuracy) - intercept) / slope); }
double Reference::accuracy_at(double gflops) const {
  return 1 / (1 + std::exp(-(intercept + slope * std::log(gflops))));
}

std::optional<Reference> fit_reference(std::span<const Row> rows) {
  Reference out;
  std::vector<double> x, y;
  for (const Row& row : rows) {
    if (row.reference.empty() || !has_logit(row.accuracy)) continue;
    out.family = row.reference;
    out.lowest = x.empty() ? row.accuracy : std::min(out.lowest, row.accuracy);
    out.highest = x.empty() ? row.accuracy : std::max(out.highest, row.accuracy);
    x.push_back(std::log(*row.gflops_per_token)), y.push_back(logit(row.accuracy));
  }
  out.points = x.size();
  if (x.size() < 3) return std::nullopt;
  const double n = static_cast<double>(x.size());
  double mean_x = 0, mean_y = 0, xx = 0, xy = 0, squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) mean_x += x[i] / n, mean_y += y[i] / n;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  if (!(xx > 0) || !(xy > 0)) return std::nullopt;
  out.slope = xy / xx;
  out.intercept = mean_y - out.slope * mean_x;
  for (std::size_t i = 0; i < x.size(); ++i) squares += std::pow(y[i] - out.intercept - out.slope * x[i], 2);
  out.residual = std::sqrt(squares / (n - 2));
  return out;
}

std::optional<Multiplier> multiplier_of(const Reference& reference, double accuracy, double gflops) {
  if (!has_logit(accuracy) || !(gflops > 0)) return std::nullopt;
  return Multiplier{reference.gflops_at(accuracy) / gflops,
                    accuracy < reference.lowest || accuracy > reference.highest};
}

std::vector<bool> base_front(std::span<const Row> rows, bool only_verified) {
  std::vector<double> cost, score;
  std::vector<std::size_t> at;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].kind != Kind::base || !rows[i].gflops_per_token || (only_verified && !rows[i].is_verified())) continue;
    cost.push_back(*rows[i].gflops_per_token), score.push_back(rows[i].accuracy), at.push_back(i);
  }
  std::vector<bool> out(rows.size(), false);
  const std::vector<bool> front = pareto_front(cost, score);
  for (std::size_t i = 0; i < at.size(); ++i) out[at[i]] = front[i];
  return out;
}

Judgement judge(double first, double second) {
  Judgement out;
  out.gap = first - second;
  out.standard_error = std::sqrt((first * (1 - first) + second * (1 - second)) / static_cast<double>(kQuestions));
  if (out.gap != 0) out.p = std::erfc(std::abs(out.gap) / out.standard_error / std::numbers::sqrt2);
  out.questions_needed =
      questions_needed({.question_count = kQuestions, .gap = out.gap, .standard_error = out.standard_error});
  return out;
}

std::vector<YearGap> gaps_by_year(std::span<const Row> rows) {
  std::map<int, std::vector<const Row*>> years;
  for (const Row& row : rows) years[row.year()].push_back(&row);
  std::vector<YearGap> out;
  for (const auto& [year, members] : years) {
    std::vector<const Row*> base;
    for (const Row* row : members)
      if (row->kind == Kind::base) base.push_back(row);
    add_gap(out, year, YearGap::Among::all, members);
    add_gap(out, year, YearGap::Among::base, base);
    add_gap(out, year, YearGap::Among::one_table, one_table(members));
  }
  return out;
}

std::array<ReportedGap, 2> reported_gaps(std::span<const Row> rows) {
  double top = 0.5;
  for (const Row& row : rows) top = std::max(top, row.accuracy);
  const auto of = [&](const char* when, double gap) {
    return ReportedGap{when, gap, top, judge(0.5 + gap / 2, 0.5 - gap / 2), judge(top, top - gap)};
  };
  return {of("end of 2023", 0.175), of("end of 2024", 0.003)};
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

// The picture of the AI-Index view.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/ai_index_document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

// Blue, vermilion and grey, as the caption says.
int colour_of_country(const std::string& country) {
  return country == "US" ? kFront : country == "CN" ? kBehind : kOther;
}

Point published_point(const Row& row, bool front, bool is_named) {
  Point out{shown_model(row), *row.gflops_per_token, row.accuracy, row.accuracy, row.accuracy, front};
  out.shape = row.is_verified() ? Shape::circle : Shape::triangle;
  out.colour = colour_of_country(row.country);
  out.is_named = is_named;
  return out;
}

Point measured_point(const Measured& row) {
  Point out{row.label, row.gflops_per_token, row.accuracy, row.accuracy, row.accuracy, false};
  if (row.interval) out.low = row.interval->first, out.high = row.interval->second;
  out.shape = Shape::square;
  out.colour = kSeries + 2;
  out.is_named = true;
  return out;
}

// The reference within its own accuracies.
std::vector<Point> reference_line(const Reference& reference) {
  constexpr int kSteps = 40;
  const double from = std::log(reference.gflops_at(reference.lowest)),
               to = std::log(reference.gflops_at(reference.highest));
  std::vector<Point> out;
  for (int i = 0; i <= kSteps; ++i) {
    const double gflops = std::exp(from + (to - from) * i / kSteps);
    out.push_back({"", gflops, reference.accuracy_at(gflops)});
  }
  return out;
}

}  // namespace

std::optional<Picture> index_picture(const View& view, Painter& painter) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < view.rows.size(); ++i) {
    const Row& row = view.rows[i];
    const bool is_of_gap = std::any_of(view.gaps.begin(), view.gaps.end(), [&](const YearGap& gap) {
      return gap.among == YearGap::Among::all && (gap.us == &row || gap.cn == &row);
    });
    if (row.gflops_per_token) points.push_back(published_point(row, view.front[i], is_of_gap));
  }
  for (const Measured& row : view.measured.rows) points.push_back(measured_point(row));
  return painter.scatter("MMLU against compute", "GFLOPs per token (weights)", points,
                         view.reference ? reference_line(*view.reference) : std::vector<Point>());
}

std::string picture_words(const View& view) {
  std::string out = "MMLU against GFLOPs per token. Pareto front of the published base models:";
  for (std::size_t i = 0; i < view.rows.size(); ++i)
    if (view.front[i])
      out += fmt::format(" {}: {} % at {:.2f}.", shown_model(view.rows[i]), percent_form(view.rows[i].accuracy),
                         *view.rows[i].gflops_per_token);
  if (!view.measured.rows.empty()) out += " Measured:";
  for (const Measured& row : view.measured.rows)
    out +=
        fmt::format(" {}: {} % at {}.", row.label, percent_form(row.accuracy), significant_form(row.gflops_per_token));
  return out;
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

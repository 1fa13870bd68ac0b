// The chart of accuracy over compute.

#include "eval/report/chart.hpp"

#include <algorithm>
#include <limits>
#include <sstream>

#include "support.hpp"

namespace eval_chart_test {

using moe::eval::ChartPoint;
using moe::eval::render_chart;

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Row and column of a mark inside the drawing.
std::pair<std::size_t, std::size_t> place_of(const std::string& chart, char mark) {
  const auto lines = lines_of(chart);
  for (std::size_t r = 0; r < 13; ++r) {
    const std::size_t at = lines[r].find(mark, 8);
    if (at != std::string::npos) return {r, at};
  }
  return {99, 99};
}

}  // namespace

TEST_CASE("better rows stand higher, dearer rows further right") {
  const std::string chart =
      render_chart({{"cheap", 1e9, 0.5, 0.01, true}, {"dear", 4e9, 0.7, 0.01, true}, {"worse", 2e9, 0.4, {}, false}});
  const auto [row_a, column_a] = place_of(chart, 'A');
  const auto [row_b, column_b] = place_of(chart, 'B');
  const auto [row_c, column_c] = place_of(chart, 'C');
  CHECK(row_b < row_a);
  CHECK(row_a < row_c);
  CHECK(column_a < column_c);
  CHECK(column_c < column_b);
  // Half of the way on a logarithmic axis.
  CHECK(std::abs(static_cast<int>(column_c - column_a) - static_cast<int>(column_b - column_c)) <= 1);
  CHECK(chart.find("A cheap  (front)") != std::string::npos);
  CHECK(chart.find("C worse\n") != std::string::npos);
  for (const std::string& line : lines_of(chart)) CHECK(line.size() <= 100);
}

TEST_CASE("a bar spans one standard error") {
  const std::string chart = render_chart({{"a", 1e9, 0.5, 0.25, false}, {"b", 2e9, 0.5, {}, false}});
  const auto lines = lines_of(chart);
  const std::size_t column = place_of(chart, 'A').second;
  for (std::size_t r = 0; r < 13; ++r) {
    REQUIRE(lines[r].size() > column);
    CHECK(lines[r][column] == (r == 6 ? 'A' : '|'));
  }
}

TEST_CASE("equal rows stand side by side, and what cannot be drawn is not") {
  const std::string twins = render_chart({{"a", 1e9, 0.5, {}, true}, {"b", 1e9, 0.5, {}, true}});
  CHECK(place_of(twins, 'A').first == place_of(twins, 'B').first);
  CHECK(place_of(twins, 'A').second + 1 == place_of(twins, 'B').second);
  CHECK(render_chart({{"alone", 1e9, 0.5, {}, true}}).empty());
  CHECK(render_chart({{"a", 0, 0.5, {}, true}, {"b", 1e9, 0.5, {}, true}}).empty());
  CHECK(render_chart({{"a", 1e9, std::numeric_limits<double>::quiet_NaN(), {}, true}, {"b", 1e9, 0.5, {}, true}})
            .empty());
  std::vector<ChartPoint> many;
  for (int i = 0; i < 30; ++i) many.push_back({"m", 1e9 * (i + 1), 0.01 * i, 0.02, false});
  CHECK(render_chart(many).find("and 4 more, not drawn") != std::string::npos);
}

}  // namespace eval_chart_test

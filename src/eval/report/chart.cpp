#include "eval/report/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {

namespace {

constexpr int kColumns = 64, kRows = 13;
constexpr std::size_t kMarks = 26;

// Maps [low, high] to cells 0 .. cells - 1; a single value goes to the middle.
int cell_of(double value, double low, double high, int cells) {
  if (high <= low) return cells / 2;
  const double at = (value - low) / (high - low) * (cells - 1);
  return std::clamp(static_cast<int>(std::lround(at)), 0, cells - 1);
}

struct ChartFrame {
  double low_x, high_x, low_y, high_y;
  int column(double flops) const { return cell_of(std::log(flops), low_x, high_x, kColumns); }
  int row(double accuracy) const { return kRows - 1 - cell_of(accuracy, low_y, high_y, kRows); }
};

ChartFrame frame_of(const std::vector<ChartPoint>& points) {
  ChartFrame f{1e300, -1e300, 1e300, -1e300};
  for (const ChartPoint& p : points) {
    const double spread = p.standard_error.value_or(0);
    f.low_x = std::min(f.low_x, std::log(p.flops)), f.high_x = std::max(f.high_x, std::log(p.flops));
    f.low_y = std::min(f.low_y, p.accuracy - spread), f.high_y = std::max(f.high_y, p.accuracy + spread);
  }
  return f;
}

void draw(const ChartPoint& point, char mark, const ChartFrame& frame, std::vector<std::string>& canvas) {
  int column = frame.column(point.flops);
  const int row = frame.row(point.accuracy), spread_top = frame.row(point.accuracy + point.standard_error.value_or(0)),
            spread_bottom = frame.row(point.accuracy - point.standard_error.value_or(0));
  const auto cell = [&](int r, int c) -> char& {
    return canvas[static_cast<std::size_t>(r)][static_cast<std::size_t>(c)];
  };
  // Two points in one cell are drawn next to each other.
  while (column + 1 < kColumns && cell(row, column) != ' ' && cell(row, column) != '|') ++column;
  for (int r = spread_top; r <= spread_bottom; ++r)
    if (cell(r, column) == ' ') cell(r, column) = '|';
  cell(row, column) = mark;
}

std::string legend(const std::vector<ChartPoint>& points) {
  std::string out;
  for (std::size_t i = 0; i < std::min(points.size(), kMarks); ++i)
    out += fmt::format("        {} {}{}\n", static_cast<char>('A' + i), shown_name(points[i].name),
                       points[i].front ? "  (front)" : "");
  if (points.size() > kMarks) out += fmt::format("        and {} more, not drawn\n", points.size() - kMarks);
  return out;
}

}  // namespace

std::string render_chart(const std::vector<ChartPoint>& points) {
  const auto drawable = [](const ChartPoint& p) {
    return p.flops > 0 && std::isfinite(p.flops) && std::isfinite(p.accuracy) &&
           std::isfinite(p.standard_error.value_or(0));
  };
  if (points.size() < 2 || !std::all_of(points.begin(), points.end(), drawable)) return {};
  const ChartFrame frame = frame_of(points);
  std::vector<std::string> canvas(kRows, std::string(kColumns, ' '));
  for (std::size_t i = 0; i < std::min(points.size(), kMarks); ++i)
    draw(points[i], static_cast<char>('A' + i), frame, canvas);
  std::string out;
  for (int r = 0; r < kRows; ++r) {
    const double accuracy = frame.low_y + (frame.high_y - frame.low_y) * (kRows - 1 - r) / (kRows - 1);
    const std::string tick = r % 4 == 0 ? fmt::format("{:6.1f} |", 100 * accuracy) : "       |";
    const std::string& line = canvas[static_cast<std::size_t>(r)];
    out += tick + line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  out += " acc % +" + std::string(kColumns, '-') + "\n";
  const std::string low = fmt::format("{:.4g}", std::exp(frame.low_x) / 1e9);
  const std::string high = fmt::format("{:.4g} GFLOPs/question (log)", std::exp(frame.high_x) / 1e9);
  const std::size_t width = kColumns + 8, used = 8 + low.size() + high.size();
  out += "        " + low + std::string(used < width ? width - used : 1, ' ') + high + "\n";
  return out + legend(points) + "\n";
}

}  // namespace moe::inline MOE_ABI::eval

#include "eval/report/pictures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "eval/report/forms.hpp"
#include "eval/report/gnuplot.hpp"
#include "eval/report/svg.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr double kWidth = 600, kLetter = 6.9;  // pixels; of one letter at the labels' size
constexpr std::size_t kMostPoints = 200, kMostBars = 64, kMostLabels = 24, kMostCells = 20000;

// Plot area in pixels.
struct Frame {
  double width, height, left, right, top, bottom;
  std::string head() const {
    return fmt::format(
        "set terminal svg size {:.0f},{:.0f} fixed noenhanced font 'sans-serif,12'\nset encoding utf8\nunset key\n"
        "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset tmargin at screen {:.5f}\nset bmargin at "
        "screen {:.5f}\nset border 3 lc rgb '{}'\nset tics nomirror scale 0.6 textcolor rgb '{}'\n"
        "set grid lc rgb '{}' lw 1 dt 1\n",
        width, height, left / width, 1 - right / width, 1 - top / height, bottom / height, colour_of(kMuted),
        colour_of(kMuted), colour_of(kGrid));
  }
  double inner_width() const { return width - left - right; }
  double inner_height() const { return height - top - bottom; }
};

std::string number(double x) { return fmt::format("{:.9g}", x); }

// Round numbers between two ends of a logarithmic axis: 1-2-5, finer where that gives too few.
std::string log_tics(double low, double high) {
  static constexpr double kCoarse[] = {1}, kMiddle[] = {1, 2, 5}, kFine[] = {1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9};
  for (const auto& mantissas :
       {std::span<const double>(kCoarse), std::span<const double>(kMiddle), std::span<const double>(kFine)}) {
    std::string out;
    int count = 0;
    for (double decade = std::pow(10, std::floor(std::log10(low))); decade <= high; decade *= 10)
      for (const double m : mantissas)
        if (const double x = m * decade; x >= low && x <= high && count < 40) {
          out += fmt::format("{}'{:.6g}' {}", count == 0 ? "" : ", ", x, number(x));
          ++count;
        }
    if (count >= 3 || mantissas.size() == std::size(kFine)) return out;
  }
  return {};
}

struct Axis {
  double low = 0, high = 1;
};

// Shares as percent, with room at both ends.
Axis percent_axis(const std::vector<Point>& points) {
  Axis out{100, 0};
  for (const Point& p : points) {
    out.low = std::min({out.low, 100 * p.y, 100 * p.low});
    out.high = std::max({out.high, 100 * p.y, 100 * p.high});
  }
  const double room = std::max(0.08 * (out.high - out.low), 0.5);
  return {out.low - room, out.high + room};
}

std::string shown(const std::string& label) { return shortened(label, 30); }

// In pixels.
struct Box {
  double left, right, top, bottom;
  bool meets(const Box& o) const { return left < o.right && o.left < right && top < o.bottom && o.top < bottom; }
};

// Finds a place for each label beside its point: where no other label is and, if that can be had, no bar and no line.
class Labels {
 public:
  Labels(const Frame& f, const Axis& x, const Axis& y) : f_(f), x_(x), y_(y) {}

  double across(double x) const {
    return f_.left + f_.inner_width() * std::log(x / x_.low) / std::log(x_.high / x_.low);
  }
  double down(double y) const { return f_.top + f_.inner_height() * (y_.high - 100 * y) / (y_.high - y_.low); }

  void add_obstacles(const std::vector<Point>& points, const std::vector<Point>& front) {
    for (const Point& p : points) {
      const double at = across(p.x);
      obstacles_.push_back({at - 6, at + 6, down(p.high) - 1, down(p.low) + 1});
    }
    for (std::size_t i = 0; i < front.size(); ++i) {
      const double at = across(front[i].x), level = down(front[i].y);
      const double end = i + 1 < front.size() ? across(front[i + 1].x) : f_.left + f_.inner_width();
      obstacles_.push_back({at, end, level - 1, level + 1});
      if (i + 1 < front.size()) obstacles_.push_back({end - 1, end + 1, down(front[i + 1].y), level});
    }
  }

  std::string place(const Point& p, std::size_t number) {
    const double wide = kLetter * static_cast<double>(display_width(shown(p.label)));
    for (const bool avoids_all : {true, false})
      for (const double shift : {0.0, -11.0, 11.0, -18.0, 18.0, -25.0, 25.0, -34.0, 34.0, -43.0, 43.0, -52.0, 52.0})
        for (const bool to_left :
             {across(p.x) > f_.left + f_.inner_width() / 2, across(p.x) <= f_.left + f_.inner_width() / 2}) {
          const double edge = across(p.x) + (to_left ? -9 : 9), middle = down(p.y) + shift;
          const Box box{to_left ? edge - wide : edge, to_left ? edge : edge + wide, middle - 7, middle + 7};
          if (!is_free(box, avoids_all)) continue;
          taken_.push_back(box);
          return fmt::format("set label '@{}@' at screen {:.5f},{:.5f} {} front textcolor rgb '{}'\n", number,
                             edge / f_.width, 1 - middle / f_.height, to_left ? "right" : "left",
                             p.front ? "black" : colour_of(kMuted));
        }
    return {};
  }

 private:
  bool is_free(const Box& box, bool avoids_all) const {
    const auto meets = [&](const Box& other) { return box.meets(other); };
    return box.left > f_.left && box.right < f_.width && box.top > 0 && box.bottom < f_.height - f_.bottom &&
           std::none_of(taken_.begin(), taken_.end(), meets) &&
           !(avoids_all && std::any_of(obstacles_.begin(), obstacles_.end(), meets));
  }

  const Frame f_;
  const Axis x_, y_;
  std::vector<Box> taken_, obstacles_;
};

std::string block(const char* name, const std::vector<Point>& points, bool front) {
  std::string out = fmt::format("${} << END\n", name);
  for (const Point& p : points)
    if (p.front == front)
      out += fmt::format("{} {} {} {}\n", number(p.x), number(100 * p.y), number(100 * p.low), number(100 * p.high));
  return out + "END\n";
}

}  // namespace

std::optional<std::string> Painter::draw(const std::string& script, const std::string& title,
                                         const std::vector<std::string>& labels) {
  if (failure_) return std::nullopt;
  if (program_.empty()) {
    failure_ = Error{ErrorCode::not_found, "they were not asked for"};
    return std::nullopt;
  }
  auto svg = run_gnuplot(program_, script, cancelled_);
  auto picture = svg ? page_picture(*svg, title, labels) : Result<std::string>(forward(svg));
  if (picture) return std::move(*picture);
  failure_ = picture.error();
  return std::nullopt;
}

std::optional<std::string> Painter::scatter(const std::string& title, const std::string& x_title,
                                            std::vector<Point> points) {
  std::erase_if(points, [](const Point& p) { return !(p.x > 0) || !std::isfinite(p.x); });
  if (points.size() < 2 || points.size() > kMostPoints) return std::nullopt;
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.y > b.y; });
  Axis x{points[0].x, points[0].x};
  for (const Point& p : points) x = {std::min(x.low, p.x), std::max(x.high, p.x)};
  const double room = std::max(1.15, std::pow(x.high / x.low, 0.06));
  x = {x.low / room, x.high * room};
  const Axis y = percent_axis(points);
  const Frame f{kWidth, 360, 58, 16, 14, 52};
  std::string script = f.head() + block("front", points, true) + block("others", points, false);
  // The best that can be had for so much, from the cheapest point on the front to the right edge.
  std::vector<Point> front;
  for (const Point& p : points)
    if (p.front) front.push_back(p);
  std::stable_sort(front.begin(), front.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  Labels places(f, x, y);
  places.add_obstacles(points, front);
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points.size() <= kMostLabels || points[i].front) script += places.place(points[i], i);
  script += "$steps << END\n";
  for (const Point& p : front) script += fmt::format("{} {}\n", number(p.x), number(100 * p.y));
  if (!front.empty()) script += fmt::format("{} {}\n", number(x.high), number(100 * front.back().y));
  script += fmt::format(
      "END\nset logscale x\nset xrange [{}:{}]\nset yrange [{}:{}]\nset xtics ({})\nset format y '%g'\n"
      "set xlabel '{}' offset 0,0.3 textcolor rgb '{}'\nset ylabel 'accuracy, %' textcolor rgb '{}' offset 1,0\n",
      number(x.low), number(x.high), number(y.low), number(y.high), log_tics(x.low, x.high), x_title, colour_of(kMuted),
      colour_of(kMuted));
  std::string plot;
  const auto add = [&](const std::string& what) { plot += (plot.empty() ? "plot " : ", ") + what; };
  if (!front.empty()) add(fmt::format("$steps using 1:2 with steps lc rgb '{}' lw 1.5 dt 2", colour_of(kFront)));
  if (front.size() < points.size())
    add(fmt::format("$others using 1:2:3:4 with yerrorbars pt 6 ps 0.9 lw 1.5 lc rgb '{}'", colour_of(kOther)));
  if (!front.empty())
    add(fmt::format("$front using 1:2:3:4 with yerrorbars pt 7 ps 0.9 lw 1.5 lc rgb '{}'", colour_of(kFront)));
  std::vector<std::string> labels;
  for (const Point& p : points) labels.push_back(shown(p.label));
  return draw(script + plot + "\n", title, labels);
}

std::optional<std::string> Painter::forest(const std::string& title, const std::vector<Bar>& bars) {
  if (bars.empty() || bars.size() > kMostBars) return std::nullopt;
  std::vector<std::string> labels;
  double wide = 0, low = 0, high = 0;
  for (const Bar& bar : bars) {
    labels.push_back(shortened(bar.label, 36));
    wide = std::max(wide, kLetter * static_cast<double>(display_width(labels.back())));
    low = std::min(low, 100 * bar.low), high = std::max(high, 100 * bar.high);
  }
  const double room = std::max(0.06 * (high - low), 0.5);
  const Frame f{kWidth, 70 + 26 * static_cast<double>(bars.size()), wide + 20, 16, 10, 52};
  std::string script = f.head();
  const auto count = static_cast<double>(bars.size());
  script += "set ytics (";
  for (std::size_t i = 0; i < bars.size(); ++i)
    script += fmt::format("{}'@{}@' {}", i == 0 ? "" : ", ", i, count - static_cast<double>(i));
  script += fmt::format(
      ") textcolor rgb 'black' scale 0\nset border 1\nunset grid\nset grid xtics lc rgb '{}' lw 1 dt 1\n"
      "set xrange [{}:{}]\nset yrange [0.4:{}]\nset xlabel 'points' textcolor rgb '{}'\n"
      "set arrow from 0,0.4 to 0,{} nohead lc rgb 'black' lw 1 front\n",
      colour_of(kGrid), number(low - room), number(high + room), count + 0.6, colour_of(kMuted), count + 0.6);
  std::string plot;
  for (const int direction : {1, -1, 0}) {
    std::string data;
    for (std::size_t i = 0; i < bars.size(); ++i)
      if (bars[i].direction == direction)
        data += fmt::format("{} {} {} {}\n", number(100 * bars[i].value), count - static_cast<double>(i),
                            number(100 * bars[i].low), number(100 * bars[i].high));
    if (data.empty()) continue;
    const std::string name = direction > 0 ? "better" : direction < 0 ? "worse" : "tied";
    script += fmt::format("${} << END\n{}END\n", name, data);
    plot += fmt::format("{}${} using 1:2:3:4 with xerrorbars pt {} ps 0.9 lw 1.8 lc rgb '{}'",
                        plot.empty() ? "plot " : ", ", name, direction == 0 ? 6 : 7,
                        colour_of(direction > 0   ? kFront
                                  : direction < 0 ? kBehind
                                                  : kOther));
  }
  return draw(script + plot + "\n", title, labels);
}

std::optional<std::string> Painter::curves(const std::string& title, const std::string& x_title,
                                           const std::vector<Series>& series) {
  if (series.empty() || series.size() > static_cast<std::size_t>(kSeriesCount)) return std::nullopt;
  std::vector<Point> all;
  for (const Series& s : series) all.insert(all.end(), s.points.begin(), s.points.end());
  if (all.size() < 2 || all.size() > kMostPoints) return std::nullopt;
  Axis x{all[0].x, all[0].x};
  for (const Point& p : all) x = {std::min(x.low, p.x), std::max(x.high, p.x)};
  const double room = 0.05 * (x.high - x.low);
  const Axis y = percent_axis(all);
  const Frame f{kWidth, 340 + 18 * static_cast<double>(series.size()), 58,
                16,     14 + 18 * static_cast<double>(series.size()),  50};
  std::string script = f.head(), plot;
  std::vector<std::string> labels;
  for (std::size_t i = 0; i < series.size(); ++i) {
    labels.push_back(shortened(series[i].label, 60));
    script += fmt::format("$s{} << END\n", i);
    for (const Point& p : series[i].points)
      script += fmt::format("{} {} {} {}\n", number(p.x), number(100 * p.y), number(100 * p.low), number(100 * p.high));
    const std::string colour = colour_of(kSeries + static_cast<int>(i));
    script += fmt::format("END\nset label '@{}@' at screen {:.5f},{:.5f} left textcolor rgb '{}'\n", i,
                          f.left / f.width, 1 - (12 + 18 * static_cast<double>(i)) / f.height, colour);
    plot += fmt::format(
        "{0}$s{1} using 1:2 with lines lw 1.5 lc rgb '{2}', $s{1} using 1:2:3:4 with yerrorbars pt 7 ps 0.9 lw 1.5 lc "
        "rgb '{2}'",
        plot.empty() ? "plot " : ", ", i, colour);
  }
  script += fmt::format(
      "set xrange [{}:{}]\nset yrange [{}:{}]\nset xlabel '{}' offset 0,0.3 textcolor rgb '{}'\n"
      "set ylabel 'accuracy, %' textcolor rgb '{}' offset 1,0\n",
      number(x.low - room), number(x.high + room), number(y.low), number(y.high), x_title, colour_of(kMuted),
      colour_of(kMuted));
  return draw(script + plot + "\n", title, labels);
}

std::optional<std::string> Painter::heat_map(const std::string& title, const HeatMap& map) {
  const std::size_t rows = map.loads.size();
  std::size_t columns = 0;
  for (const auto& row : map.loads) columns = std::max(columns, row.size());
  if (rows == 0 || columns == 0 || rows * columns > kMostCells) return std::nullopt;
  std::vector<std::string> labels;
  double wide = 0;
  for (const std::string& label : map.row_labels) {
    labels.push_back(shortened(label, 30));
    wide = std::max(wide, kLetter * static_cast<double>(display_width(labels.back())));
  }
  const double cell = std::clamp(360.0 / static_cast<double>(rows), 9.0, 24.0);
  const Frame f{kWidth, 64 + cell * static_cast<double>(rows), wide + 38, 16, 10, 52};
  std::string script = f.head() + "unset grid\nset border 0\nset tics scale 0\nset ytics (";
  // Not more labels than lines of text have room.
  const auto step = static_cast<std::size_t>(std::ceil(14 / cell));
  bool first = true;
  for (std::size_t r = 0; r < labels.size(); r += step) {
    script += fmt::format("{}'@{}@' {}", std::exchange(first, false) ? "" : ", ", r, rows - 1 - r);
  }
  script += fmt::format(
      ")\nset xrange [-0.5:{}]\nset yrange [-0.5:{}]\nset xlabel '{}' offset 0,0.3 textcolor rgb '{}'\n"
      "set style fill solid noborder\n",
      static_cast<double>(columns) - 0.5, static_cast<double>(rows) - 0.5, map.columns, colour_of(kMuted));
  // gnuplot does not know how long the names will be that stand for "@0@": the axis' own title would meet them.
  script += fmt::format("set label '{}' at screen {:.5f},{:.5f} center rotate textcolor rgb '{}'\n", map.rows,
                        14 / f.width, (f.bottom + f.inner_height() / 2) / f.height, colour_of(kMuted));
  std::string plot;
  for (int level = 0; level < kHeatCount; ++level) {
    std::string data;
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < map.loads[r].size(); ++c) {
        const auto* const at = std::upper_bound(std::begin(kHeatSteps), std::end(kHeatSteps), map.loads[r][c]);
        if (at - std::begin(kHeatSteps) == level) data += fmt::format("{} {}\n", c, rows - 1 - r);
      }
    if (data.empty()) continue;
    script += fmt::format("$l{} << END\n{}END\n", level, data);
    plot += fmt::format("{}$l{} using 1:2:(0.46):(0.46) with boxxyerror lc rgb '{}'", plot.empty() ? "plot " : ", ",
                        level, colour_of(kHeat + level));
  }
  return draw(script + plot + "\n", title, labels);
}

}  // namespace moe::inline MOE_ABI::eval

#include "eval/report/pictures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "eval/report/forms.hpp"
#include "eval/report/gnuplot.hpp"
#include "eval/report/picture_frame.hpp"
#include "eval/report/svg.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::size_t kMostPoints = 200, kMostBars = 64, kMostLabels = 24, kMostNarrowLabels = 10, kMostCells = 20000;

// What a point looks like.
struct Style {
  bool front;
  Shape shape;
  int colour;
  bool operator==(const Style&) const = default;
  // gnuplot's number of the symbol, filled on the front.
  int symbol() const {
    switch (shape) {
      case Shape::triangle: return front ? 9 : 8;
      case Shape::square: return 5;
      case Shape::circle: break;
    }
    return front ? 7 : 6;
  }
};
Style style_of(const Point& p) { return {p.front, p.shape, p.colour != 0 ? p.colour : p.front ? kFront : kOther}; }

// Those behind others first.
std::vector<Style> styles_of(const std::vector<Point>& points) {
  std::vector<Style> out;
  for (const bool front : {false, true})
    for (const Point& p : points)
      if (const Style style = style_of(p); p.front == front && std::find(out.begin(), out.end(), style) == out.end())
        out.push_back(style);
  return out;
}

std::string block(std::size_t name, const std::vector<Point>& points, const Style& style) {
  std::string out = fmt::format("$p{} << END\n", name);
  for (const Point& p : points)
    if (style_of(p) == style)
      out += fmt::format("{} {} {} {}\n", number(p.x), number(100 * p.y), number(100 * p.low), number(100 * p.high));
  return out + "END\n";
}

std::string line_block(const char* name, const std::vector<Point>& line) {
  std::string out = fmt::format("${} << END\n", name);
  for (const Point& p : line) out += fmt::format("{} {}\n", number(p.x), number(100 * p.y));
  return out + "END\n";
}

// The best accuracy by compute, from the cheapest point on the front to the right edge.
std::vector<Point> front_of(const std::vector<Point>& points) {
  std::vector<Point> front;
  for (const Point& p : points)
    if (p.front) front.push_back(p);
  std::stable_sort(front.begin(), front.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  return front;
}

std::string scatter_plot(const std::vector<Point>& points, const std::vector<Style>& styles, bool has_front,
                         bool has_line) {
  std::string plot;
  const auto add = [&](const std::string& what) { plot += (plot.empty() ? "plot " : ", ") + what; };
  // Where colours stand for something else the line has none.
  const bool is_plain = std::all_of(points.begin(), points.end(), [](const Point& p) { return p.colour == 0; });
  if (has_front)
    add(fmt::format("$steps using 1:2 with steps lc rgb '{}' lw 1.5 dt 2", colour_of(is_plain ? kFront : kMuted)));
  if (has_line) add(fmt::format("$line using 1:2 with lines lc rgb '{}' lw 1.5 dt 3", colour_of(kMuted)));
  for (std::size_t s = 0; s < styles.size(); ++s)
    add(fmt::format("$p{} using 1:2:3:4 with yerrorbars pt {} ps 0.9 lw 1.5 lc rgb '{}'", s, styles[s].symbol(),
                    colour_of(styles[s].colour)));
  return plot + "\n";
}

// `points` by falling accuracy.
Drawing scatter_drawing(const Canvas& canvas, const std::string& x_title, std::vector<Point> points,
                        const std::vector<Point>& line) {
  Axis x{points[0].x, points[0].x};
  for (const Point& p : points) x = {std::min(x.low, p.x), std::max(x.high, p.x)};
  const double room = std::max(1.15, std::pow(x.high / x.low, 0.06));
  x = {x.low / room, x.high * room};
  Axis y = percent_axis(points);
  const bool is_crowded = points.size() > (canvas.is_narrow ? kMostNarrowLabels : kMostLabels);
  if (is_crowded) y.high += 0.06 * (y.high - y.low);  // room for names above the best points
  Frame f{canvas.width, canvas.is_narrow ? (is_crowded ? 380.0 : 320.0) : (is_crowded ? 460.0 : 360.0), 58, 16, 14, 52};
  f.bottom += 16 * (title_lines(x_title, f.inner_width()) - 1);
  const std::vector<Style> styles = styles_of(points);
  std::string script = f.head();
  for (std::size_t s = 0; s < styles.size(); ++s) script += block(s, points, styles[s]);
  const std::vector<Point> front = front_of(points);
  Labels places(f, x, y, canvas.is_narrow ? 20 : 30);
  places.add_obstacles(points, front);
  if (is_crowded)
    std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.front > b.front; });
  Drawing out;
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!is_crowded || points[i].front || points[i].is_named) script += places.place(points[i], i, is_crowded);
    out.labels.push_back(places.shown(points[i].label));
  }
  if (!front.empty()) {
    std::vector<Point> steps = front;
    steps.push_back(front.back()), steps.back().x = x.high;
    script += line_block("steps", steps);
  }
  if (!line.empty()) script += line_block("line", line);
  script += fmt::format("set logscale x\nset xrange [{}:{}]\nset yrange [{}:{}]\nset xtics ({})\nset format y '%g'\n",
                        number(x.low), number(x.high), number(y.low), number(y.high), log_tics(x, f.inner_width()));
  script += axis_title("x", x_title, f.inner_width()) + axis_title("y", "accuracy, %", f.inner_height());
  out.script = script + scatter_plot(points, styles, !front.empty(), !line.empty());
  return out;
}

// Names beside their bars; on a phone above them, where the line of no difference makes room.
std::string bar_names(const Canvas& canvas, std::size_t count) {
  const auto zero_line = [](double from, double to) {
    return fmt::format("set arrow from 0,{} to 0,{} nohead lc rgb 'black' lw 1 front\n", from, to);
  };
  const auto level_of = [&](std::size_t i) { return static_cast<double>(count - i); };
  std::string out;
  if (canvas.is_narrow) {
    for (std::size_t i = 0; i < count; ++i)
      out += fmt::format("set label '@{}@' at graph 0, first {} left front textcolor rgb 'black'\n", i,
                         level_of(i) + 0.36) +
             zero_line(level_of(i) - 0.4, level_of(i) + 0.16);
    return out + "unset ytics\n";
  }
  for (std::size_t i = 0; i < count; ++i) out += fmt::format("{}'@{}@' {}", i == 0 ? "" : ", ", i, level_of(i));
  return "set ytics (" + out + ") textcolor rgb 'black' scale 0\n" + zero_line(0.4, level_of(0) + 0.6);
}

Drawing forest_drawing(const Canvas& canvas, const std::vector<Bar>& bars) {
  Drawing out;
  double wide = 0, low = 0, high = 0;
  for (const Bar& bar : bars) {
    out.labels.push_back(shortened(bar.label, canvas.is_narrow ? 42 : 36));
    wide = std::max(wide, kLetter * static_cast<double>(display_width(out.labels.back())));
    low = std::min(low, 100 * bar.low), high = std::max(high, 100 * bar.high);
  }
  const double room = std::max(0.06 * (high - low), 0.5);
  const auto count = static_cast<double>(bars.size());
  const Frame f{canvas.width, 70 + (canvas.is_narrow ? 40 : 26) * count, canvas.is_narrow ? 14 : wide + 20, 16, 10, 52};
  out.script = f.head() + bar_names(canvas, bars.size());
  out.script += fmt::format(
      "set border 1\nunset grid\nset grid xtics lc rgb '{}' lw 1 dt 1\nset xrange [{}:{}]\nset yrange [0.4:{}]\n",
      colour_of(kGrid), number(low - room), number(high + room), count + 0.6);
  out.script += axis_title("x", "points", f.inner_width());
  std::string plot;
  for (const int direction : {1, -1, 0}) {
    std::string data;
    for (std::size_t i = 0; i < bars.size(); ++i)
      if (bars[i].direction == direction)
        data += fmt::format("{} {} {} {}\n", number(100 * bars[i].value), count - static_cast<double>(i),
                            number(100 * bars[i].low), number(100 * bars[i].high));
    if (data.empty()) continue;
    const std::string name = direction > 0 ? "better" : direction < 0 ? "worse" : "tied";
    out.script += fmt::format("${} << END\n{}END\n", name, data);
    plot += fmt::format("{}${} using 1:2:3:4 with xerrorbars pt {} ps 0.9 lw 1.8 lc rgb '{}'",
                        plot.empty() ? "plot " : ", ", name, direction == 0 ? 6 : 7,
                        colour_of(direction > 0   ? kFront
                                  : direction < 0 ? kBehind
                                                  : kOther));
  }
  out.script += plot + "\n";
  return out;
}

Drawing curves_drawing(const Canvas& canvas, const std::string& x_title, const std::vector<Series>& series,
                       const std::vector<Point>& all) {
  Axis x{all[0].x, all[0].x};
  for (const Point& p : all) x = {std::min(x.low, p.x), std::max(x.high, p.x)};
  const double room = 0.05 * (x.high - x.low);
  const Axis y = percent_axis(all);
  const double names = 18 * static_cast<double>(series.size());
  Frame f{canvas.width, (canvas.is_narrow ? 300 : 340) + names, 58, 16, 14 + names, 50};
  f.bottom += 16 * (title_lines(x_title, f.inner_width()) - 1);
  Drawing out{f.head(), {}};
  std::string plot;
  for (std::size_t i = 0; i < series.size(); ++i) {
    out.labels.push_back(shortened(series[i].label, std::min<std::size_t>(60, f.letters())));
    out.script += fmt::format("$s{} << END\n", i);
    for (const Point& p : series[i].points)
      out.script +=
          fmt::format("{} {} {} {}\n", number(p.x), number(100 * p.y), number(100 * p.low), number(100 * p.high));
    const std::string colour = colour_of(kSeries + static_cast<int>(i));
    out.script += fmt::format("END\nset label '@{}@' at screen {:.5f},{:.5f} left textcolor rgb '{}'\n", i,
                              f.left / f.width, 1 - (12 + 18 * static_cast<double>(i)) / f.height, colour);
    plot += fmt::format(
        "{0}$s{1} using 1:2 with lines lw 1.5 lc rgb '{2}', $s{1} using 1:2:3:4 with yerrorbars pt 7 ps 0.9 lw 1.5 lc "
        "rgb '{2}'",
        plot.empty() ? "plot " : ", ", i, colour);
  }
  out.script += fmt::format("set xrange [{}:{}]\nset yrange [{}:{}]\n", number(x.low - room), number(x.high + room),
                            number(y.low), number(y.high));
  out.script += axis_title("x", x_title, f.inner_width()) + axis_title("y", "accuracy, %", f.inner_height());
  out.script += plot + "\n";
  return out;
}

Drawing heat_drawing(const Canvas& canvas, const HeatMap& map, std::size_t columns) {
  const std::size_t rows = map.loads.size();
  Drawing out;
  double wide = 0;
  for (const std::string& label : map.row_labels) {
    out.labels.push_back(shortened(label, canvas.is_narrow ? 14 : 30));
    wide = std::max(wide, kLetter * static_cast<double>(display_width(out.labels.back())));
  }
  const double cell = std::clamp(360.0 / static_cast<double>(rows), 9.0, 24.0);
  const Frame f{canvas.width, 64 + cell * static_cast<double>(rows), wide + 38, 16, 10, 52};
  std::string script = f.head() + "unset grid\nset border 0\nset tics scale 0\nset ytics (";
  // Not more labels than lines of text have room.
  const auto step = static_cast<std::size_t>(std::ceil(14 / cell));
  bool first = true;
  for (std::size_t r = 0; r < out.labels.size(); r += step)
    script += fmt::format("{}'@{}@' {}", std::exchange(first, false) ? "" : ", ", r, rows - 1 - r);
  script += fmt::format(")\nset xrange [-0.5:{}]\nset yrange [-0.5:{}]\nset style fill solid noborder\n",
                        static_cast<double>(columns) - 0.5, static_cast<double>(rows) - 0.5);
  script += axis_title("x", map.columns, f.inner_width());
  // gnuplot does not know the lengths of the names for "@0@", with which the axis title would overlap.
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
  out.script = script + plot + "\n";
  return out;
}

}  // namespace

std::optional<std::string> Painter::draw(const Drawing& drawing, const std::string& title) {
  if (failure_) return std::nullopt;
  if (program_.empty()) {
    failure_ = Error{ErrorCode::not_found, "they were not asked for"};
    return std::nullopt;
  }
  auto svg = run_gnuplot(program_, drawing.script, cancelled_);
  auto picture = svg ? page_picture(*svg, title, drawing.labels) : Result<std::string>(forward(svg));
  if (picture) return std::move(*picture);
  failure_ = picture.error();
  return std::nullopt;
}

std::optional<Picture> Painter::both(const std::string& title, const std::function<Drawing(const Canvas&)>& drawing) {
  auto wide = draw(drawing(kWideCanvas), title);
  auto narrow = wide ? draw(drawing(kNarrowCanvas), title) : std::nullopt;
  if (!narrow) return std::nullopt;
  return Picture{std::move(*wide), std::move(*narrow)};
}

std::optional<Picture> Painter::scatter(const std::string& title, const std::string& x_title, std::vector<Point> points,
                                        const std::vector<Point>& line) {
  std::erase_if(points, [](const Point& p) { return !(p.x > 0) || !std::isfinite(p.x); });
  if (points.size() < 2 || points.size() > kMostPoints) return std::nullopt;
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.y > b.y; });
  return both(title, [&](const Canvas& canvas) { return scatter_drawing(canvas, x_title, points, line); });
}

std::optional<Picture> Painter::forest(const std::string& title, const std::vector<Bar>& bars) {
  if (bars.empty() || bars.size() > kMostBars) return std::nullopt;
  return both(title, [&](const Canvas& canvas) { return forest_drawing(canvas, bars); });
}

std::optional<Picture> Painter::curves(const std::string& title, const std::string& x_title,
                                       const std::vector<Series>& series) {
  if (series.empty() || series.size() > static_cast<std::size_t>(kSeriesCount)) return std::nullopt;
  std::vector<Point> all;
  for (const Series& s : series) all.insert(all.end(), s.points.begin(), s.points.end());
  if (all.size() < 2 || all.size() > kMostPoints) return std::nullopt;
  return both(title, [&](const Canvas& canvas) { return curves_drawing(canvas, x_title, series, all); });
}

std::optional<Picture> Painter::heat_map(const std::string& title, const HeatMap& map) {
  const std::size_t rows = map.loads.size();
  std::size_t columns = 0;
  for (const auto& row : map.loads) columns = std::max(columns, row.size());
  if (rows == 0 || columns == 0 || rows * columns > kMostCells) return std::nullopt;
  return both(title, [&](const Canvas& canvas) { return heat_drawing(canvas, map, columns); });
}

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// The pictures of a report.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Numbers of the page's colours (--c<n> in its style sheet).
enum Colour : int {
  kGrid = 1,
  kMuted = 2,
  kFront = 3,    ///< on the front; A is better
  kOther = 4,    ///< not on the front; not distinguishable
  kBehind = 5,   ///< B is better
  kSeries = 11,  ///< and seven more
  kHeat = 21,    ///< and eight more, from few to many
};
inline constexpr int kSeriesCount = 8, kHeatCount = 8;

enum class Shape { circle, triangle, square };

struct Point {
  std::string label;
  double x = 0, y = 0;       ///< y: a share
  double low = 0, high = 0;  ///< the ends of its bar; both y where there is none
  bool front = false;        ///< filled, joined by a line, and named wherever there is room
  Shape shape = Shape::circle;
  int colour = 0;         ///< a Colour; 0: kFront on the front, kOther elsewhere
  bool is_named = false;  ///< as those on the front are
};

struct Series {
  std::string label;
  std::vector<Point> points;  ///< by rising x
};

struct Bar {
  std::string label;
  double value = 0, low = 0, high = 0;  ///< shares
  int direction = 0;                    ///< 1: A is better, -1: B is better, 0: not distinguishable
};

/// An even load is 1.
struct HeatMap {
  std::string rows, columns;               ///< what they are
  std::vector<std::string> row_labels;     ///< from top to bottom
  std::vector<std::vector<double>> loads;  ///< [row][column]
};

/// Upper ends of the colours of a heat map; the last has none.
inline constexpr double kHeatSteps[kHeatCount - 1] = {0.25, 0.5, 0.8, 1.25, 2, 4, 8};

/// A picture as SVG, for a page that has room and for a phone.
struct Picture {
  std::string wide, narrow;
};

// picture_frame.hpp
struct Canvas;
struct Drawing;

/// Draws with gnuplot. After the first failure, nothing more is drawn: a page has all pictures or the reason.
class Painter {
 public:
  Painter(std::string program, std::function<bool()> cancelled)
      : program_(std::move(program)), cancelled_(std::move(cancelled)) {}

  /// Empty for fewer than two points, or where one has no place on a logarithmic axis. `line` is drawn behind the
  /// points.
  std::optional<Picture> scatter(const std::string& title, const std::string& x_title, std::vector<Point> points,
                                 const std::vector<Point>& line = {});
  std::optional<Picture> forest(const std::string& title, const std::vector<Bar>& bars);
  std::optional<Picture> curves(const std::string& title, const std::string& x_title,
                                const std::vector<Series>& series);
  std::optional<Picture> heat_map(const std::string& title, const HeatMap& map);

  const std::optional<Error>& failure() const { return failure_; }

 private:
  std::optional<std::string> draw(const Drawing& drawing, const std::string& title);
  std::optional<Picture> both(const std::string& title, const std::function<Drawing(const Canvas&)>& drawing);

  std::string program_;
  std::function<bool()> cancelled_;
  std::optional<Error> failure_;
};

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Layout of a picture: its area, axes, and places for names.

#include <string>
#include <vector>

#include "eval/report/pictures.hpp"

namespace moe::inline MOE_ABI::eval {

inline constexpr double kLetter = 6.9;  // pixels of one letter at the labels' size

/// A picture is drawn for a page and for a phone, with letters of the same size.
struct Canvas {
  double width;
  bool is_narrow;
};
inline constexpr Canvas kWideCanvas{600, false}, kNarrowCanvas{328, true};

/// gnuplot's script, and the names for its placeholders "@0@", "@1@", ...
struct Drawing {
  std::string script;
  std::vector<std::string> labels;
};

/// Plot area in pixels.
struct Frame {
  double width, height, left, right, top, bottom;
  /// The script's first lines.
  std::string head() const;
  double inner_width() const { return width - left - right; }
  double inner_height() const { return height - top - bottom; }
  /// As many as stand between the left edge of the plot area and the right one of the picture.
  std::size_t letters() const { return static_cast<std::size_t>((width - left - 4) / kLetter); }
};

struct Axis {
  double low = 0, high = 1;
};
/// Shares as percent, with room at both ends.
Axis percent_axis(const std::vector<Point>& points);

std::string number(double x);
/// Round numbers of a logarithmic axis that is `pixels` long: 1, then 2 and 5, then finer ones where that gives too
/// few; none whose label would touch another one.
std::string log_tics(const Axis& axis, double pixels);
/// `name` is "x" or "y". A title that is longer than the axis stands in two lines.
std::string axis_title(const char* name, const std::string& title, double pixels);
/// Lines of an axis title.
int title_lines(const std::string& title, double pixels);

/// Finds a place for each label beside its point: where no other label is and, if that can be had, no bar and no line.
class Labels {
 public:
  Labels(const Frame& f, const Axis& x, const Axis& y, std::size_t letters) : f_(f), x_(x), y_(y), letters_(letters) {}

  void add_obstacles(const std::vector<Point>& points, const std::vector<Point>& front);
  /// Empty where there is no room. Among many points, a thin line connects a distant name with its point.
  std::string place(const Point& p, std::size_t number, bool is_crowded);
  /// As the label is written.
  std::string shown(const std::string& label) const;

 private:
  // In pixels.
  struct Box {
    double left, right, top, bottom;
    bool meets(const Box& o) const { return left < o.right && o.left < right && top < o.bottom && o.top < bottom; }
  };
  double across(double x) const;
  double down(double y) const;
  bool is_free(const Box& box, bool avoids_all) const;

  const Frame f_;
  const Axis x_, y_;
  const std::size_t letters_;
  std::vector<Box> taken_, obstacles_;
};

}  // namespace moe::inline MOE_ABI::eval

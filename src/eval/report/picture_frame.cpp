#include "eval/report/picture_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "eval/report/svg.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// At the blank nearest to its middle.
std::size_t break_of(const std::string& title) {
  std::size_t best = std::string::npos;
  const auto middle = static_cast<double>(title.size()) / 2;
  const auto far = [&](std::size_t at) { return std::abs(static_cast<double>(at) - middle); };
  for (std::size_t at = title.find(' '); at != std::string::npos; at = title.find(' ', at + 1))
    if (best == std::string::npos || far(at) < far(best)) best = at;
  return best;
}

}  // namespace

std::string Frame::head() const {
  return fmt::format(
      "set terminal svg size {:.0f},{:.0f} fixed noenhanced font 'sans-serif,12'\nset encoding utf8\nunset key\n"
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\nset tmargin at screen {:.5f}\nset bmargin at "
      "screen {:.5f}\nset border 3 lc rgb '{}'\nset tics nomirror scale 0.6 textcolor rgb '{}'\n"
      "set grid lc rgb '{}' lw 1 dt 1\n",
      width, height, left / width, 1 - right / width, 1 - top / height, bottom / height, colour_of(kMuted),
      colour_of(kMuted), colour_of(kGrid));
}

std::string number(double x) { return fmt::format("{:.9g}", x); }

std::string log_tics(const Axis& axis, double pixels) {
  static constexpr double kCoarse[] = {1}, kMiddle[] = {2, 5}, kFine[] = {1.5, 3, 4, 2.5, 6, 7, 8, 9};
  struct Tic {
    double x, from, to;
    std::string label;
  };
  std::vector<Tic> tics;
  const auto add = [&](double x) {
    if (x < axis.low || x > axis.high) return;
    std::string label = fmt::format("{:.6g}", x);
    const double at = pixels * std::log(x / axis.low) / std::log(axis.high / axis.low);
    const double half = kLetter * static_cast<double>(label.size()) / 2 + 5;
    const bool is_free = std::none_of(tics.begin(), tics.end(),
                                      [&](const Tic& other) { return at - half < other.to && other.from < at + half; });
    if (is_free) tics.push_back({x, at - half, at + half, std::move(label)});
  };
  for (const auto& mantissas :
       {std::span<const double>(kCoarse), std::span<const double>(kMiddle), std::span<const double>(kFine)}) {
    if (tics.size() >= 3) break;
    for (const double m : mantissas)
      for (double decade = std::pow(10, std::floor(std::log10(axis.low))); decade <= axis.high; decade *= 10)
        add(m * decade);
  }
  std::string out;
  for (const Tic& tic : tics) out += fmt::format("{}'{}' {}", out.empty() ? "" : ", ", tic.label, number(tic.x));
  return out;
}

int title_lines(const std::string& title, double pixels) {
  return kLetter * static_cast<double>(title.size()) > pixels && title.find(' ') != std::string::npos ? 2 : 1;
}

std::string axis_title(const char* name, const std::string& title, double pixels) {
  std::string text = title;
  if (title_lines(title, pixels) > 1) text.replace(break_of(title), 1, "\\n");
  const bool is_x = *name == 'x';
  return fmt::format("set {}label \"{}\" offset {} textcolor rgb '{}'\n", name, text, is_x ? "0,0.3" : "1,0",
                     colour_of(kMuted));
}

Axis percent_axis(const std::vector<Point>& points) {
  Axis out{100, 0};
  for (const Point& p : points) {
    out.low = std::min({out.low, 100 * p.y, 100 * p.low});
    out.high = std::max({out.high, 100 * p.y, 100 * p.high});
  }
  const double room = std::max(0.08 * (out.high - out.low), 0.5);
  return {out.low - room, out.high + room};
}

double Labels::across(double x) const {
  return f_.left + f_.inner_width() * std::log(x / x_.low) / std::log(x_.high / x_.low);
}
double Labels::down(double y) const { return f_.top + f_.inner_height() * (y_.high - 100 * y) / (y_.high - y_.low); }

std::string Labels::shown(const std::string& label) const { return shortened(label, letters_); }

void Labels::add_obstacles(const std::vector<Point>& points, const std::vector<Point>& front) {
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

std::string Labels::place(const Point& p, std::size_t number, bool is_crowded) {
  const double wide = kLetter * static_cast<double>(display_width(shown(p.label)));
  for (const bool avoids_all : {true, false})
    for (const double shift :
         {0.0, -11.0, 11.0, -18.0, 18.0, -25.0, 25.0, -34.0, 34.0, -43.0, 43.0, -52.0, 52.0, -61.0, 61.0, -70.0, 70.0})
      for (const bool to_left :
           {across(p.x) > f_.left + f_.inner_width() / 2, across(p.x) <= f_.left + f_.inner_width() / 2}) {
        if (std::abs(shift) > (is_crowded ? 70 : 52) || (!avoids_all && is_crowded && !p.front)) continue;
        const double edge = across(p.x) + (to_left ? -9 : 9), middle = down(p.y) + shift;
        const Box box{to_left ? edge - wide : edge, to_left ? edge : edge + wide, middle - 7, middle + 7};
        if (!is_free(box, avoids_all)) continue;
        taken_.push_back(box);
        std::string out;
        if (is_crowded && shift != 0)
          out = fmt::format(
              "set arrow from screen {:.5f},{:.5f} to screen {:.5f},{:.5f} nohead back lc rgb '{}' lw 0.7\n",
              across(p.x) / f_.width, 1 - down(p.y) / f_.height, edge / f_.width, 1 - middle / f_.height,
              colour_of(kMuted));
        return out + fmt::format("set label '@{}@' at screen {:.5f},{:.5f} {} front textcolor rgb '{}'\n", number,
                                 edge / f_.width, 1 - middle / f_.height, to_left ? "right" : "left",
                                 p.front ? "black" : colour_of(kMuted));
      }
  return {};
}

bool Labels::is_free(const Box& box, bool avoids_all) const {
  const auto meets = [&](const Box& other) { return box.meets(other); };
  return box.left > f_.left && box.right < f_.width && box.top > 0 && box.bottom < f_.height - f_.bottom &&
         std::none_of(taken_.begin(), taken_.end(), meets) &&
         !(avoids_all && std::any_of(obstacles_.begin(), obstacles_.end(), meets));
}

}  // namespace moe::inline MOE_ABI::eval

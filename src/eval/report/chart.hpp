#pragma once
// Accuracy over compute, drawn with characters.

#include <optional>
#include <string>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

struct ChartPoint {
  std::string name;
  double flops = 0;     ///< of one question, above 0
  double accuracy = 0;  ///< share, 0 to 1
  std::optional<double> standard_error;
  bool front = false;
};

/// A chart of 16 lines or so, each ending in a newline: logarithmic compute to the right, accuracy upwards, a bar of one
/// standard error around each point, letters in the order of the points. Empty for fewer than two points and when a value
/// is not finite or compute is not positive. More than 26 points: the rest is not drawn and the legend says so.
std::string render_chart(const std::vector<ChartPoint>& points);

}  // namespace moe::inline MOE_ABI::eval

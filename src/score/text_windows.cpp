#include "score/text_windows.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::score {

std::vector<TextWindow> text_windows(std::int64_t count, std::int64_t max_length) {
  std::vector<TextWindow> out;
  for (std::int64_t begin = 0; begin < count; begin += max_length) {
    TextWindow w;
    w.begin = begin, w.end = std::min(count, begin + max_length);
    w.first = begin == 0 ? -1 : w.end - 1 - max_length;  // the last window is extended to the left
    out.push_back(w);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::score

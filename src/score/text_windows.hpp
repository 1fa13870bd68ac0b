#pragma once
// Windows of a text that is longer than the model's context.

#include <cstdint>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::score {

/// One window of a text of `count` tokens: targets are tokens [begin, end); what the model sees ends before `end` and
/// begins at `first`, where -1 is the prefix token.
struct TextWindow {
  std::int64_t first = -1, begin = 0, end = 0;
  std::int64_t input_count() const { return end - 1 - first; }
};
/// Every token is a target once; no window sees more than max_length tokens.
MOE_API std::vector<TextWindow> text_windows(std::int64_t count, std::int64_t max_length);

}  // namespace moe::inline MOE_ABI::score

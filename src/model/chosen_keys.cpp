#include "model/chosen_keys.hpp"

#include <algorithm>
#include <functional>

namespace moe::inline MOE_ABI {

void choose_keys(std::span<const float> scores, std::int64_t count, float* scratch, std::int32_t* chosen) {
  float* end = std::copy(scores.begin(), scores.end(), scratch);
  std::nth_element(scratch, scratch + count - 1, end, std::greater<>());
  const float least = scratch[count - 1];
  // Of keys with the least chosen score, the first ones, until there are `count` in all.
  std::int64_t equal = count;
  for (const float score : scores) equal -= score > least;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (scores[i] > least || (scores[i] == least && equal-- > 0)) *chosen++ = static_cast<std::int32_t>(i);
}

}  // namespace moe::inline MOE_ABI

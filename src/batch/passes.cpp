#include "batch/passes.hpp"

#include <algorithm>
#include <numeric>

namespace moe::inline MOE_ABI::batch {

Passes collect_passes(const Inputs& inputs, std::span<const std::int64_t> first_row,
                      std::span<const std::int32_t> group) {
  std::vector<std::int32_t> order(inputs.size());
  std::iota(order.begin(), order.end(), 0);
  const auto input = [&](std::int32_t i) -> const std::vector<TokenId>& { return inputs[static_cast<std::size_t>(i)]; };
  const auto group_of = [&](std::int32_t i) { return group.empty() ? 0 : group[static_cast<std::size_t>(i)]; };
  std::erase_if(order, [&](std::int32_t i) { return input(i).empty(); });
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    if (group_of(a) != group_of(b)) return group_of(a) < group_of(b);
    return &input(a) != &input(b) && input(a) < input(b);
  });
  Passes out;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::vector<TokenId>& tokens = input(order[i]);
    const std::int64_t row = first_row[static_cast<std::size_t>(order[i])];
    const auto same_as_before = [&] {
      if (group_of(order[i]) != group_of(order[i - 1])) return false;
      return &tokens == &input(order[i - 1]) || tokens == input(order[i - 1]);
    };
    if (i == 0 || !same_as_before()) {
      out.list.push_back({tokens, row, group_of(order[i])});
      out.requests.emplace_back();
      out.tokens += static_cast<std::int64_t>(tokens.size());
      out.longest = std::max(out.longest, static_cast<std::int64_t>(tokens.size()));
    }
    out.requests.back().push_back(order[i]);
    out.list.back().first_row = std::min(out.list.back().first_row, row);
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::batch

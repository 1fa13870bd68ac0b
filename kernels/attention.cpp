#include <algorithm>

#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

// The larger of GqaScratch (attention_gqa.hpp: 96 queries) and MlaScratch (attention_mla.hpp: 48), for a block of 64.
std::int64_t attention_scratch(std::int64_t key_dim, std::int64_t value_dim) noexcept {
  const std::int64_t keys = (key_dim + 15) / 16 * 16, values = (value_dim + 15) / 16 * 16;
  const auto of_queries = [&](std::int64_t n) { return n * (values + kKeyBlock + 4); };
  return std::max(kKeyBlock * (key_dim + values) + of_queries(96), kKeyBlock * keys + 48 * key_dim + of_queries(48));
}

// A block of keys, and the scores of a tile of heads.
std::int64_t index_scratch(std::int64_t dim) noexcept { return kKeyBlock * (dim + 6); }

}  // namespace moe::inline MOE_ABI::kernels

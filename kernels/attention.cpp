#include "kernels/table.hpp"

namespace moe::inline MOE_ABI::kernels {

// The larger of GqaScratch (attention_gqa.hpp) and MlaScratch (attention_mla.hpp), for 48 queries and a block of 64.
std::int64_t attention_scratch(std::int64_t key_dim, std::int64_t value_dim) noexcept {
  constexpr std::int64_t kQueries = 48;
  const std::int64_t keys = (key_dim + 15) / 16 * 16, values = (value_dim + 15) / 16 * 16;
  const std::int64_t gqa = kKeyBlock * (key_dim + values);
  const std::int64_t mla = kKeyBlock * keys + kQueries * key_dim;
  return (gqa > mla ? gqa : mla) + kQueries * values + kQueries * kKeyBlock + 4 * kQueries;
}

}  // namespace moe::inline MOE_ABI::kernels

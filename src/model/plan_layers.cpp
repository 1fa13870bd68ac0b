#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "model/plan.hpp"

namespace moe::inline MOE_ABI {
namespace {

bool is_inside(const void* part, const void* begin, std::size_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(part), first = reinterpret_cast<std::uintptr_t>(begin);
  return at >= first && at < first + bytes;
}

template <class T>
bool is_inside(const void* part, const std::vector<T>& all) {
  return is_inside(part, all.data(), all.size() * sizeof(T));
}

bool is_of_layer(const void* part, const LayerWeights& layer) {
  return is_inside(part, &layer, sizeof layer) || is_inside(part, layer.experts) || is_inside(part, layer.k_b) ||
         is_inside(part, layer.v_b);
}

}  // namespace

Result<void> keep_layers(const LayerRange& layers, LoadPlan& plan, const Weights& weights) {
  const auto count = static_cast<std::int64_t>(weights.layers.size());
  if (layers.begin < 0 || layers.end > count || layers.begin >= layers.end)
    return fail(ErrorCode::bad_argument, fmt::format("LoadOptions::layers is {} to {}, expected a part of 0 to {}",
                                                     layers.begin, layers.end, count));
  const bool has_first = layers.begin == 0, has_last = layers.end == count;
  const auto is_left_out = [&](const void* part) {
    if (part == &weights.embedding) return !(has_first || (has_last && weights.head.empty()));
    if (part == &weights.head || part == &weights.final_norm) return !has_last;
    for (std::int64_t l = 0; l < count; ++l)
      if (l < layers.begin || l >= layers.end)
        if (is_of_layer(part, weights.layers[static_cast<std::size_t>(l)])) return true;
    return false;
  };
  std::erase_if(plan.matrices, [&](const MatrixJob& job) { return is_left_out(job.out); });
  std::erase_if(plan.vectors, [&](const VectorJob& job) { return is_left_out(job.out); });
  return {};
}

}  // namespace moe::inline MOE_ABI

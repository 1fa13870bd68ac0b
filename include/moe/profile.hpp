#pragma once
// Where the time of a session's steps goes, by stage of the forward pass (SessionOptions::profile).

#include <array>
#include <cstdint>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

enum class Stage : std::uint8_t {
  projections,  ///< q, k, v, o and MLA's maps
  attention,    ///< scores, softmax, values
  router,
  experts,  ///< gate, up, activation, down of routed and shared experts and of dense layers; their input's quantisation
  head,
  quantising,   ///< norms and activations to int8, tiles
  elementwise,  ///< embedding, biases, RoPE, cache, residuals
};
inline constexpr std::size_t kStageCount = 7;
constexpr std::string_view name_of(Stage value) noexcept {
  switch (value) {
    case Stage::projections: return "projections";
    case Stage::attention: return "attention";
    case Stage::router: return "router";
    case Stage::experts: return "experts";
    case Stage::head: return "head";
    case Stage::quantising: return "quantising";
    case Stage::elementwise: return "elementwise";
  }
  return "";
}

/// Sums over all steps. Times are of workers: a step of s seconds on n workers is n * s of them.
struct Profile {
  std::array<std::int64_t, kStageCount> busy_ns{};
  std::int64_t waiting_ns =
      0;  ///< workers without a task while others had one, and while one thread did what is not shared
  std::int64_t total_ns = 0;  ///< of all workers; what is neither busy nor waiting is the steps' own bookkeeping

  Profile& operator+=(const Profile& o) noexcept {
    for (std::size_t i = 0; i < kStageCount; ++i) busy_ns[i] += o.busy_ns[i];
    waiting_ns += o.waiting_ns;
    total_ns += o.total_ns;
    return *this;
  }
  /// What came after `o`, an earlier reading of the same session.
  Profile operator-(const Profile& o) const noexcept {
    Profile d = *this;
    for (std::size_t i = 0; i < kStageCount; ++i) d.busy_ns[i] -= o.busy_ns[i];
    d.waiting_ns -= o.waiting_ns;
    d.total_ns -= o.total_ns;
    return d;
  }
};

}  // namespace moe::inline MOE_ABI

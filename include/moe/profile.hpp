#pragma once
// Time of a session's steps by stage of the forward pass (SessionOptions::profile).

#include <array>
#include <cstdint>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

enum class Stage : std::uint8_t {
  projections,  ///< q, k, v, o and MLA's projections
  attention,    ///< scores, softmax, values
  router,
  experts,  ///< gate, up, activation and down of routed and shared experts and dense layers; quantising their input
  head,
  quantising,   ///< norms; activations to int8 tiles
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

/// Sums over all steps and workers: a step of s seconds on n workers counts n * s.
struct Profile {
  std::array<std::int64_t, kStageCount> busy_ns{};
  std::int64_t waiting_ns = 0;  ///< of workers without a task while others had one or while one thread did serial work
  std::int64_t total_ns = 0;    ///< of all workers; the part neither busy nor waiting is overhead of the steps

  Profile& operator+=(const Profile& o) noexcept {
    for (std::size_t i = 0; i < kStageCount; ++i) busy_ns[i] += o.busy_ns[i];
    waiting_ns += o.waiting_ns;
    total_ns += o.total_ns;
    return *this;
  }
  /// The difference to `o`, an earlier reading of the same session.
  Profile operator-(const Profile& o) const noexcept {
    Profile d = *this;
    for (std::size_t i = 0; i < kStageCount; ++i) d.busy_ns[i] -= o.busy_ns[i];
    d.waiting_ns -= o.waiting_ns;
    d.total_ns -= o.total_ns;
    return d;
  }
};

}  // namespace moe::inline MOE_ABI

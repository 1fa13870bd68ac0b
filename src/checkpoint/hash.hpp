#pragma once
// FNV-1a, 64 bits: identifies a header. Not cryptographic.

#include <cstdint>
#include <span>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class Fnv1a {
 public:
  void update(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) state_ = (state_ ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3u;
  }
  void update(std::uint64_t number) { update(std::as_bytes(std::span(&number, 1))); }
  std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

}  // namespace moe::inline MOE_ABI::checkpoint

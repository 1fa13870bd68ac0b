#pragma once
// FNV-1a, 64 bits: tells headers, texts and names apart. Not cryptographic. The offset basis and the prime are those of
// http://www.isthe.com/chongo/tech/comp/fnv/

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

class Fnv1a {
 public:
  constexpr void update(std::span<const std::byte> bytes) {
    for (const std::byte b : bytes) step(std::to_integer<std::uint64_t>(b));
  }
  constexpr void update(std::string_view text) {
    for (const char c : text) step(static_cast<unsigned char>(c));
  }
  /// The 8 bytes of a number, the lowest first.
  constexpr void update(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) step((number >> shift) & 0xFFu);
  }
  /// One step. FNV-1a's units are bytes; with wider ones it is another hash.
  constexpr void step(std::uint64_t unit) { state_ = (state_ ^ unit) * 0x100000001b3u; }
  constexpr std::uint64_t value() const { return state_; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

/// Of a whole text.
constexpr std::uint64_t fnv1a(std::string_view text) {
  Fnv1a hash;
  hash.update(text);
  return hash.value();
}

}  // namespace moe::inline MOE_ABI

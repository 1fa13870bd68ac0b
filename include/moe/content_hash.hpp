#pragma once
// The hash that identifies a model by its bytes (Model::content_hash).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

using ContentDigest = std::array<std::uint8_t, 32>;

/// Digest of some bytes. Called by many threads at once.
using ContentHash = ContentDigest (*)(std::span<const std::byte> bytes);

/// SHA-256 (FIPS 180-4) by libcrypto: what the run store and run.json expect. Programs that never name it need no
/// libcrypto where they link the static library.
MOE_API ContentDigest sha256(std::span<const std::byte> bytes);
/// 64 lower-case hexadecimal digits.
MOE_API std::string hex_text(const ContentDigest& digest);

}  // namespace moe::inline MOE_ABI

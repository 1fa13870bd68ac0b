#pragma once
// SHA-256 (FIPS 180-4) by libcrypto, which knows the processor's own instructions for it: contents of models, keys of
// the run store, and the hashes in the harness's sample files.

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

using Sha256Digest = std::array<std::uint8_t, SHA256_DIGEST_LENGTH>;

/// A text that comes in parts.
class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  /// Once, at the end.
  Sha256Digest finish();

 private:
  SHA256_CTX state_;
};

Sha256Digest sha256(std::string_view text);
/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace moe::inline MOE_ABI

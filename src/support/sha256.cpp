// The functions of this one algorithm, which OpenSSL 3 calls deprecated in favour of its providers: unlike those they
// cannot fail, allocate nothing, and read neither openssl.cnf nor the environment.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "support/sha256.hpp"

#include <openssl/sha.h>

namespace moe::inline MOE_ABI {

ContentDigest sha256(std::span<const std::byte> bytes) {
  static_assert(sizeof(ContentDigest) == SHA256_DIGEST_LENGTH);
  ContentDigest digest{};
  SHA256_CTX state;
  SHA256_Init(&state);
  SHA256_Update(&state, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &state);
  return digest;
}

ContentDigest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string hex_text(const ContentDigest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::uint8_t byte : digest) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view text) { return hex_text(sha256(text)); }

}  // namespace moe::inline MOE_ABI

// The functions of this one algorithm, which OpenSSL 3 calls deprecated in favour of its providers: unlike those they
// cannot fail, allocate nothing, and read neither openssl.cnf nor the environment.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "support/sha256.hpp"

namespace moe::inline MOE_ABI {

Sha256::Sha256() { SHA256_Init(&state_); }

void Sha256::update(std::span<const std::byte> bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }

Sha256Digest Sha256::finish() {
  Sha256Digest digest{};
  SHA256_Final(digest.data(), &state_);
  return digest;
}

Sha256Digest sha256(std::string_view text) {
  Sha256 hash;
  hash.update(std::as_bytes(std::span(text)));
  return hash.finish();
}

std::string sha256_hex(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::uint8_t byte : sha256(text)) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace moe::inline MOE_ABI

#pragma once
// SHA-256 (FIPS 180-4) by libcrypto, which uses the processor's SHA instructions: for contents of models, keys of the
// run store, and hashes in the harness's sample files.

#include <string>
#include <string_view>

#include "moe/content_hash.hpp"

namespace moe::inline MOE_ABI {

ContentDigest sha256(std::string_view text);
/// 64 lower-case hexadecimal digits.
std::string sha256_hex(std::string_view text);

}  // namespace moe::inline MOE_ABI

#pragma once
// SHA-256 (FIPS 180-4): the harness's sample files carry hashes of document, prompt and target.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

MOE_API std::array<std::uint8_t, 32> sha256(std::string_view text);
/// 64 lower-case hexadecimal digits.
MOE_API std::string sha256_hex(std::string_view text);

}  // namespace moe::inline MOE_ABI::eval

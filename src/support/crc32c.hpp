#pragma once
// CRC-32C: finds damage of stored bytes, and costs less than reading them.

#include <cstddef>
#include <cstdint>
#include <span>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// CRC-32C (Castagnoli's polynomial; RFC 3720, appendix B.4) of bytes; with the CRC of those before them, of both.
/// By the processor's instruction where it has one.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

/// The same without that instruction.
std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace moe::inline MOE_ABI

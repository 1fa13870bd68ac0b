#include "support/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace moe::inline MOE_ABI {
namespace {

// Bits are reflected: the highest is the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0x82f63b78, kOne = 0x80000000, kX8 = kOne >> 8;

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// Table t: what a byte changes that t zero bytes follow.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1u ? crc >> 1 ^ kPolynomial : crc >> 1;
    tables[0][byte] = crc;
  }
  for (std::size_t t = 1; t < tables.size(); ++t)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t before = tables[t - 1][byte];
      tables[t][byte] = before >> 8 ^ tables[0][before & 255u];
    }
  return tables;
}
constexpr Tables kTables = make_tables();

std::uint64_t load(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// All functions below continue a register, which is the CRC with its bits inverted.
std::uint32_t add_by_tables(std::uint32_t crc, const std::byte* at, std::size_t count) {
  for (; count >= 8; at += 8, count -= 8) {
    const std::uint64_t word = load(at) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 255u];
  }
  for (; count > 0; ++at, --count) crc = crc >> 8 ^ kTables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 255u];
  return crc;
}

#if defined(__x86_64__)
#define MOE_CRC_TARGET __attribute__((target("sse4.2")))
#define MOE_CRC_WORD(crc, word) static_cast<std::uint32_t>(__builtin_ia32_crc32di(crc, word))
#define MOE_CRC_BYTE(crc, byte) __builtin_ia32_crc32qi(crc, byte)
bool has_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
#elif defined(__aarch64__) && defined(__linux__)
#if defined(__clang__)
#define MOE_CRC_TARGET __attribute__((target("crc")))
#define MOE_CRC_WORD(crc, word) __builtin_arm_crc32cd(crc, word)
#define MOE_CRC_BYTE(crc, byte) __builtin_arm_crc32cb(crc, byte)
#else
#define MOE_CRC_TARGET __attribute__((target("+crc")))
#define MOE_CRC_WORD(crc, word) __builtin_aarch64_crc32cx(crc, word)
#define MOE_CRC_BYTE(crc, byte) __builtin_aarch64_crc32cb(crc, byte)
#endif
bool has_instruction() { return (getauxval(AT_HWCAP) & 128u) != 0; }  // HWCAP_CRC32
#endif

#if defined(MOE_CRC_TARGET)
/// The product of two polynomials, modulo that of the CRC.
std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = kOne; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = b & 1u ? b >> 1 ^ kPolynomial : b >> 1;
  }
  return product;
}

/// The register after `count` zero bytes.
std::uint32_t add_zeros(std::uint32_t crc, std::size_t count) {
  for (std::uint32_t power = kX8; count != 0; count >>= 1, power = multiply(power, power))
    if (count & 1u) crc = multiply(crc, power);
  return crc;
}

// The instruction takes 3 cycles and starts each cycle: three parts at once, joined at the end (some 3 us, so only where
// there is enough to do).
MOE_CRC_TARGET std::uint32_t add_by_instruction(std::uint32_t crc, const std::byte* at, std::size_t count) {
  constexpr std::size_t kWorthwhile = std::size_t{64} << 10;
  if (count >= kWorthwhile) {
    const std::size_t part = count / 24 * 8;
    std::uint32_t second = 0, third = 0;
    for (std::size_t i = 0; i < part; i += 8) {
      crc = MOE_CRC_WORD(crc, load(at + i));
      second = MOE_CRC_WORD(second, load(at + part + i));
      third = MOE_CRC_WORD(third, load(at + 2 * part + i));
    }
    crc = add_zeros(add_zeros(crc, part) ^ second, part) ^ third;
    at += 3 * part;
    count -= 3 * part;
  }
  for (; count >= 8; at += 8, count -= 8) crc = MOE_CRC_WORD(crc, load(at));
  for (; count > 0; ++at, --count) crc = MOE_CRC_BYTE(crc, std::to_integer<std::uint8_t>(*at));
  return crc;
}
#endif

}  // namespace

std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
  return ~add_by_tables(~before, bytes.data(), bytes.size());
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
#if defined(MOE_CRC_TARGET)
  static const bool by_instruction = has_instruction();
  if (by_instruction) return ~add_by_instruction(~before, bytes.data(), bytes.size());
#endif
  return crc32c_by_tables(bytes, before);
}

}  // namespace moe::inline MOE_ABI

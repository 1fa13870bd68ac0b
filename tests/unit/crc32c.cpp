// CRC-32C: the published values, and the same value however it is computed.

#include "support/crc32c.hpp"

#include <random>
#include <string>
#include <vector>

#include "support.hpp"

namespace crc32c_test {

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("CRC-32C has the values of RFC 3720, appendix B.4") {
  std::string rising(32, '\0');
  for (std::size_t i = 0; i < rising.size(); ++i) rising[i] = static_cast<char>(i);
  const std::string falling(rising.rbegin(), rising.rend());
  const std::pair<std::string, std::uint32_t> published[] = {{"", 0},
                                                             {"123456789", 0xe3069283},
                                                             {std::string(32, '\0'), 0x8a9136aa},
                                                             {std::string(32, '\xff'), 0x62a8ab43},
                                                             {rising, 0x46dd794e},
                                                             {falling, 0x113fdb5c}};
  for (const auto& one : published) {
    CHECK(moe::crc32c(bytes_of(one.first)) == one.second);
    CHECK(moe::crc32c_by_tables(bytes_of(one.first)) == one.second);
  }
}

TEST_CASE("CRC-32C is the same by instruction and by tables, in one piece and in several, at every address") {
  constexpr std::size_t kWorthwhile = std::size_t{64} << 10;  // from here on three parts at once
  std::mt19937_64 random(5);
  std::vector<std::byte> data((1 << 20) + 64);
  for (std::byte& b : data) b = static_cast<std::byte>(random());
  std::vector<std::size_t> lengths = {kWorthwhile - 1, kWorthwhile, kWorthwhile + 1, kWorthwhile + 23, 1 << 20};
  for (std::size_t n = 0; n < 40; ++n) lengths.push_back(n);
  for (const std::size_t length : lengths) {
    const std::size_t shift = random() % 64, cut = length == 0 ? 0 : random() % length;
    CAPTURE(length);
    CAPTURE(shift);
    CAPTURE(cut);
    const std::span<const std::byte> all(data.data() + shift, length);
    const std::uint32_t whole = moe::crc32c_by_tables(all);
    CHECK(moe::crc32c(all) == whole);
    CHECK(moe::crc32c(all.subspan(cut), moe::crc32c(all.first(cut))) == whole);
    CHECK(moe::crc32c_by_tables(all.subspan(cut), moe::crc32c_by_tables(all.first(cut))) == whole);
  }
}

}  // namespace crc32c_test

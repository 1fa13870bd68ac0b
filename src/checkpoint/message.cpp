#include "checkpoint/message.hpp"

#include <fmt/format.h>

namespace moe::inline MOE_ABI::checkpoint {

std::string in_quotes(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string out = "'";
  for (const char c : name.substr(0, kLongest)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '\'')
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + (name.size() > kLongest ? "...'" : "'");
}

}  // namespace moe::inline MOE_ABI::checkpoint

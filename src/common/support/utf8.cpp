#include "support/utf8.hpp"

#include <cstring>

namespace moe::inline MOE_ABI {
namespace {

constexpr char32_t kReplacement = 0xfffd;

// Length of the well-formed character at `i`, or 0; `bad` is then the length of the maximal ill-formed part.
std::size_t well_formed(std::string_view text, std::size_t i, std::size_t& bad) {
  const auto at = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = at(i);
  bad = 1;
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  unsigned char low = 0x80, high = 0xbf;  // the allowed second byte: excludes overlong forms, surrogates, > U+10FFFF
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  for (std::size_t k = 1; k < length; ++k) {
    if (i + k >= text.size() || at(i + k) < low || at(i + k) > high) return 0;
    bad = k + 1;
    low = 0x80;
    high = 0xbf;
  }
  return length;
}

}  // namespace

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | c >> 6);
    put(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
    put(0x80 | (c & 0x3f));
  }
}

std::size_t valid_utf8_prefix(std::string_view text) {
  std::size_t i = 0, bad = 0;
  while (i < text.size()) {
    std::uint64_t eight = 0;
    while (i + 8 <= text.size()) {  // ASCII, eight bytes at a time
      std::memcpy(&eight, text.data() + i, 8);
      if (eight & 0x8080808080808080u) break;
      i += 8;
    }
    if (i == text.size()) break;
    const std::size_t length = well_formed(text, i, bad);
    if (length == 0) return i;
    i += length;
  }
  return i;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t good = valid_utf8_prefix(text.substr(i));
    out.append(text.substr(i, good));
    i += good;
    if (i == text.size()) break;
    std::size_t bad = 1;
    well_formed(text, i, bad);
    append_utf8(out, kReplacement);
    i += bad;
  }
  return out;
}

}  // namespace moe::inline MOE_ABI

#include "generate/utf8_tail.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI::generate {
namespace {

// Length of the character that a lead byte announces; 1 for everything that announces none.
std::size_t announced(unsigned char lead) {
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 1;
}

// Whether `second` may follow `lead`: no overlong forms, no surrogates, nothing above U+10FFFF (Unicode, table 3-7).
bool may_follow(unsigned char lead, unsigned char second) {
  const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= least && second <= most;
}

}  // namespace

std::size_t incomplete_utf8_tail(std::string_view text) {
  for (std::size_t back = 1; back <= std::min<std::size_t>(3, text.size()); ++back) {
    const auto lead = static_cast<unsigned char>(text[text.size() - back]);
    if (lead >= 0x80 && lead < 0xC0) continue;  // a continuation byte: look further back
    if (announced(lead) <= back) return 0;
    if (back > 1 && !may_follow(lead, static_cast<unsigned char>(text[text.size() - back + 1]))) return 0;
    return back;
  }
  return 0;
}

}  // namespace moe::inline MOE_ABI::generate

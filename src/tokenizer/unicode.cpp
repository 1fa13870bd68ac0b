#include "tokenizer/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace moe::inline MOE_ABI::tokenizer {
namespace {

constexpr char32_t kLastCodePoint = 0x10ffff;

struct Range {
  char32_t first, last;
};

// deepseek-llm spells out the letters of its pattern; these are the ranges of that class.
constexpr Range kDeepseekLetterRanges[] = {
    {'A', 'Z'},         {'a', 'z'},         {0xb5, 0xb5},       {0xc0, 0xd6},       {0xd8, 0xf6},
    {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},
    {0x388, 0x38a},     {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},   {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},
    {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},
    {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},
    {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210a, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},   {0x2c00, 0x2c7b},
    {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},   {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},   {0xfb00, 0xfb06},
    {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f}, {0x104b0, 0x104d3},
    {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943}};
constexpr Range kDeepseekPunctuationRanges[] = {{'!', '/'},       {':', '~'},       {0xff01, 0xff0f},
                                                {0xff1a, 0xff5e}, {0x2018, 0x201f}, {0x3000, 0x3002}};
constexpr Range kDeepseekWideRanges[] = {{0x4e00, 0x9fa5}, {0x0800, 0x4e00}, {0xac00, 0xd7ff}};
constexpr Range kCjkRanges[] = {{0x4e00, 0x9fa5}, {0x3040, 0x30ff}};
// Join controls, and letters in circles and squares: word characters by property, not by category.
constexpr Range kWordRanges[] = {
    {0x200c, 0x200d}, {0x24b6, 0x24e9}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
constexpr Range kSpaceRanges[] = {{0x9, 0xd},       {0x20, 0x20},     {0x85, 0x85},     {0xa0, 0xa0},
                                  {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f},
                                  {0x205f, 0x205f}, {0x3000, 0x3000}};

constexpr Range kHanRanges[] = {{0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},
                                {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303b},   {0x3400, 0x4dbf},
                                {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
                                {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d},
                                {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0}, {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d},
                                {0x30000, 0x3134a}, {0x31350, 0x323af}};

std::uint32_t category_bits(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return kLetter | kUpper | kWordCharacter;
    case UTF8PROC_CATEGORY_LL: return kLetter | kLower | kWordCharacter;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return kLetter | kWordCharacter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return kMark | kWordCharacter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: return kNumber | kWordCharacter;
    case UTF8PROC_CATEGORY_NO: return kNumber;
    case UTF8PROC_CATEGORY_PC: return kPunctuation | kWordCharacter;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO: return kSymbol;
    default: return 0;
  }
}

using ClassTable = std::vector<std::uint32_t>;

template <std::size_t N>
void mark(ClassTable& table, const Range (&ranges)[N], std::uint32_t bit) {
  for (const Range& r : ranges)
    for (char32_t c = r.first; c <= r.last; ++c) table[c] |= bit;
}

ClassTable build_classes() {
  ClassTable table(kLastCodePoint + 1);
  for (char32_t c = 0; c <= kLastCodePoint; ++c) {
    table[c] = category_bits(c);
    if (table[c] & kPunctuation) table[c] |= kDefaultPunctuation;
  }
  mark(table, kSpaceRanges, kSpace);
  mark(table, kDeepseekLetterRanges, kDeepseekLetter);
  mark(table, kDeepseekPunctuationRanges, kDeepseekPunctuation);
  mark(table, kDeepseekWideRanges, kDeepseekWide);
  mark(table, kCjkRanges, kCjk);
  mark(table, kHanRanges, kHan);
  mark(table, kWordRanges, kWordCharacter);
  for (char32_t c = 0; c < 0x80; ++c) {
    if (table[c] & kLetter) table[c] |= kAsciiLetter;
    if (table[c] & kNumber) table[c] |= kAsciiDigit;
    if (table[c] & (kPunctuation | kSymbol)) table[c] |= kAsciiPunctuation;
  }
  for (char c : {'$', '+', '<', '=', '>', '^', '~', '|'}) table[static_cast<unsigned char>(c)] |= kDefaultPunctuation;
  table['\r'] |= kNewline;
  table['\n'] |= kNewline;
  return table;
}

struct ByteAlphabet {
  std::array<char32_t, 256> symbol{};
  std::array<std::int16_t, 0x144> byte{};  // the alphabet ends at U+0143

  ByteAlphabet() {
    byte.fill(-1);
    char32_t next = 0x100;
    for (unsigned b = 0; b < 256; ++b) {
      const bool printable = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      symbol[b] = printable ? b : next++;
      byte[symbol[b]] = static_cast<std::int16_t>(b);
    }
  }
};

const ByteAlphabet& alphabet() {
  static const ByteAlphabet instance;
  return instance;
}

bool skips_normalization(std::string_view text, Normalization form) {
  // Below U+0300 NFC changes nothing; the other forms leave only ASCII unchanged. UTF-8 of U+0300 is CC 80.
  const unsigned char limit = form == Normalization::nfc ? 0xcc : 0x80;
  return std::none_of(text.begin(), text.end(), [&](char c) { return static_cast<unsigned char>(c) >= limit; });
}

}  // namespace

const std::uint32_t* char_classes() {
  static const ClassTable table = build_classes();
  return table.data();
}

char32_t byte_symbol(unsigned char byte) { return alphabet().symbol[byte]; }

std::string to_token_text(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() + bytes.size() / 4);
  for (char b : bytes) append_utf8(text, byte_symbol(static_cast<unsigned char>(b)));
  return text;
}

std::optional<std::string> from_token_text(std::string_view text) {
  if (!is_valid_utf8(text)) return std::nullopt;
  const ByteAlphabet& known = alphabet();
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const Decoded c = decode_utf8(text.data() + i);
    if (c.value >= known.byte.size() || known.byte[c.value] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(known.byte[c.value]));
    i += c.bytes;
  }
  return bytes;
}

Result<std::string> normalize(std::string_view text, Normalization form) {
  if (skips_normalization(text, form)) return std::string(text);
  const bool compose = form == Normalization::nfc || form == Normalization::nfkc;
  const bool compatible = form == Normalization::nfkc || form == Normalization::nfkd;
  const auto option = static_cast<utf8proc_option_t>(
      UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) | (compatible ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> points;
  points.reserve(text.size());
  int boundary = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Decoded c = decode_utf8(text.data() + i);
    utf8proc_int32_t parts[32];  // the longest decomposition (U+FDFA) has 18
    const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.value), parts, 32, option, &boundary);
    if (n < 0 || n > 32) return fail(ErrorCode::internal, "Unicode normalisation failed");
    points.insert(points.end(), parts, parts + n);
    i += c.bytes;
  }
  // Canonical order. utf8proc's own sort is quadratic in a run of combining marks, which text from outside may contain.
  const auto rank = [](utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (std::size_t i = 0; i < points.size();) {
    if (rank(points[i]) == 0) {
      ++i;
      continue;
    }
    std::size_t end = i;
    while (end < points.size() && rank(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<std::ptrdiff_t>(i), points.begin() + static_cast<std::ptrdiff_t>(end),
                     [&](auto a, auto b) { return rank(a) < rank(b); });
    i = end;
  }
  auto length = static_cast<utf8proc_ssize_t>(points.size());
  if (compose) length = utf8proc_normalize_utf32(points.data(), length, option);
  if (length < 0) return fail(ErrorCode::internal, "Unicode normalisation failed");
  std::string out;
  out.reserve(text.size());
  for (utf8proc_ssize_t i = 0; i < length; ++i)
    append_utf8(out, static_cast<char32_t>(points[static_cast<std::size_t>(i)]));
  return out;
}

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Character classes, normalisation, and the byte alphabet of byte-level BPE.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// Bits of a code point's class. The sets at the end are written out in the patterns of single tokenizers.
enum CharClass : std::uint32_t {
  kLetter = 1 << 0,
  kNumber = 1 << 1,
  kMark = 1 << 2,
  kPunctuation = 1 << 3,
  kSymbol = 1 << 4,
  kSpace = 1 << 5,    ///< Unicode White_Space
  kNewline = 1 << 6,  ///< CR and LF
  kAsciiDigit = 1 << 7,
  kAsciiLetter = 1 << 8,
  kAsciiPunctuation = 1 << 9,
  kWordCharacter = 1 << 10,        ///< \w as the tokenizers package reads it, for tokens that are whole words
  kDeepseekLetter = 1 << 11,       ///< the letters of deepseek-llm (cased scripts)
  kDeepseekPunctuation = 1 << 12,  ///< [!-/:-~ ... U+2018-U+201F U+3000-U+3002] of deepseek-llm
  kDeepseekWide = 1 << 13,         ///< [U+4E00-U+9FA5 U+0800-U+4E00 U+AC00-U+D7FF] of deepseek-llm and -coder
  kCjk = 1 << 14,                  ///< [U+4E00-U+9FA5 U+3040-U+30FF] of deepseek-v3
  kDefaultPunctuation = 1 << 15,   ///< [\p{P}$+<=>^~|] of llama.cpp's "default"
  kUpper = 1 << 16,                ///< [\p{Lu}\p{Lt}]
  kLower = 1 << 17,                ///< \p{Ll}; letters that are neither have no case
  kHan = 1 << 18,                  ///< the script
};

/// Class bits of every code point (0 .. 0x10FFFF), built once.
const std::uint32_t* char_classes();

/// U+2581, for a space in token texts of SentencePiece and similar tokenizers.
inline constexpr std::string_view kSpaceSymbol = "\xe2\x96\x81";

/// The code point for a byte in token texts (GPT-2's printable alphabet).
char32_t byte_symbol(unsigned char byte);
/// Bytes as token text ("Ġ" for a space).
std::string to_token_text(std::string_view bytes);
/// The bytes of a token text, or nothing when a character is outside the alphabet.
std::optional<std::string> from_token_text(std::string_view text);

enum class Normalization { nfc, nfd, nfkc, nfkd };

/// Unicode normalisation in O(n log n). The text must be valid UTF-8.
Result<std::string> normalize(std::string_view text, Normalization form);

}  // namespace moe::inline MOE_ABI::tokenizer

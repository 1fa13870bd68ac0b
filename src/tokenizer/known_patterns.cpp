// Patterns of known tokenizers as written in tokenizer.json, and the scanners that implement them.

#include "tokenizer/finder.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// The pieces that the patterns of Llama 3 and Qwen have in common.
#define MOE_CONTRACTIONS_FOLDED "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define MOE_CONTRACTIONS_BOTH "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define MOE_WORD R"(|[^\r\n\p{L}\p{N}]?\p{L}+)"
#define MOE_SPACES R"(|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define MOE_TAIL R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" MOE_SPACES
// Words that begin at a change from lower to upper case; `not_in` is what the sets leave out.
#define MOE_UPPER(not_in) R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M})" not_in "]"
#define MOE_LOWER(not_in) R"([\p{Ll}\p{Lm}\p{Lo}\p{M})" not_in "]"
#define MOE_CASED(not_in, behind)                                                                                \
  R"([^\r\n\p{L}\p{N}]?)" MOE_UPPER(not_in) "*" MOE_LOWER(not_in) "+" behind R"(|[^\r\n\p{L}\p{N}]?)" MOE_UPPER( \
      not_in) "+" MOE_LOWER(not_in) "*" behind
#define MOE_TAIL_SLASH R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*)" MOE_SPACES

struct KnownPattern {
  const char* pattern;
  Scanner scanner;
};
constexpr KnownPattern kKnownPatterns[] = {
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Scanner::gpt2},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", Scanner::gpt2},
    {MOE_CONTRACTIONS_FOLDED MOE_WORD R"(|\p{N}{1,3})" MOE_TAIL, Scanner::llama3_folded},
    {MOE_CONTRACTIONS_BOTH MOE_WORD R"(|\p{N}{1,3})" MOE_TAIL, Scanner::llama3},
    {MOE_CONTRACTIONS_FOLDED MOE_WORD R"(|\p{N})" MOE_TAIL, Scanner::qwen2_folded},
    {MOE_CONTRACTIONS_BOTH MOE_WORD R"(|\p{N})" MOE_TAIL, Scanner::qwen2},
    {MOE_CONTRACTIONS_FOLDED R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*)" MOE_SPACES,
     Scanner::qwen35},
    {MOE_CONTRACTIONS_FOLDED MOE_WORD R"(|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+)" MOE_SPACES, Scanner::seed_coder},
    {MOE_CASED("", MOE_CONTRACTIONS_FOLDED "?") R"(|\p{N}{1,3})" MOE_TAIL_SLASH, Scanner::gpt4o},
    {MOE_CASED("", "") R"(|\p{N})" MOE_TAIL_SLASH, Scanner::tekken},
    {R"([\p{Han}]+|)" MOE_CASED("&&[^\\p{Han}]", MOE_CONTRACTIONS_FOLDED "?") R"(|\p{N}{1,3})" MOE_TAIL,
     Scanner::kimi_k2},
    {R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     Scanner::deepseek_v3},
    {R"(\s+$)", Scanner::trailing_space},
};

struct KnownRun {
  const char* pattern;
  SetRun run;
};
constexpr std::uint32_t kMany = ~std::uint32_t{0};
constexpr KnownRun kKnownRuns[] = {
    {R"(\p{N}{1,3})", {kNumber, 1, 3, false}},
    {R"(\p{N}+)", {kNumber, 1, kMany, false}},
    {R"(\p{N})", {kNumber, 1, 1, false}},
    {R"([\r\n])", {kNewline, 1, 1, false}},
    {R"(\s?\p{L}+)", {kLetter, 1, kMany, true}},
    {R"(\s?\p{P}+)", {kPunctuation, 1, kMany, true}},
    {"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", {kCjk, 1, kMany, false}},
    {"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", {kDeepseekWide, 1, kMany, false}},
};

}  // namespace

std::unique_ptr<Finder> make_known(std::string_view pattern) {
  // Line ends may be literal or escaped in a pattern; the tables have the escaped form. A backslash before a quote has
  // no effect.
  std::string escaped;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      if (pattern[i + 1] != '"') escaped.push_back(c);
      escaped.push_back(pattern[++i]);
    } else if (c == '\r' || c == '\n') {
      escaped += c == '\r' ? "\\r" : "\\n";
    } else {
      escaped.push_back(c);
    }
  }
  for (const KnownPattern& known : kKnownPatterns)
    if (escaped == known.pattern) return make_scanner(known.scanner);
  for (const KnownRun& known : kKnownRuns)
    if (escaped == known.pattern) return make_set_run(known.run);
  return nullptr;
}

}  // namespace moe::inline MOE_ABI::tokenizer

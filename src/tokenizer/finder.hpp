#pragma once
// Finds the pieces of a text: hand-written scanners for the patterns of known tokenizers (a pattern engine is
// several times slower), PCRE2 for every other pattern.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::tokenizer {

struct Match {
  std::size_t begin = 0, end = 0;
};

enum class Found { yes, no, failed };

/// Engine state of one thread; made by Finder::make_state, null where a finder needs none.
struct FinderState {
  virtual ~FinderState() = default;
};

class Finder {
 public:
  virtual ~Finder() = default;
  /// The first match in `segment` at or after byte `from`. `segment` is valid UTF-8; the pattern sees nothing outside
  /// it ("$" is its end). `failed` fills `error`.
  virtual Found find(std::string_view segment, std::size_t from, FinderState* state, Match& match,
                     Error& error) const = 0;
  /// Whether a match may be empty; true also where that is not known.
  virtual bool matches_nothing() const { return false; }
  virtual std::unique_ptr<FinderState> make_state() const { return nullptr; }
  /// Everything that affects the matches, for the fingerprint.
  virtual std::string description() const = 0;
};

/// Engine states, one for each of a list of finders; null where a finder needs none.
using FinderStates = std::vector<std::unique_ptr<FinderState>>;

/// The matches of a finder one after the other; empty ones are never repeated at one place.
class Matches {
 public:
  Matches(const Finder& finder, FinderState* state, std::string_view segment)
      : finder_(finder), state_(state), segment_(segment) {}
  Found next(Match& match, Error& error);

 private:
  const Finder& finder_;
  FinderState* state_;
  std::string_view segment_;
  std::size_t from_ = 0;
  std::optional<std::size_t> last_end_;
};

/// \s?[set]{min,max}: a run of code points of the classes in `set` (CharClass bits).
struct SetRun {
  std::uint32_t set = 0;
  std::uint32_t min = 1;
  std::uint32_t max = ~std::uint32_t{0};
  bool leading_space = false;
};
std::unique_ptr<Finder> make_set_run(const SetRun& run);

/// The patterns of known tokenizers as a whole (known_patterns.cpp spells each one out).
enum class Scanner {
  gpt2,
  llama3,         ///< numbers in groups of up to three
  llama3_folded,  ///< the same with (?i:'s|...): U+017F counts as an s
  qwen2,          ///< single digits
  qwen2_folded,
  qwen35,      ///< marks are parts of words
  seed_coder,  ///< line ends are separate from the preceding text
  gpt4o,       ///< words begin at changes from lower to upper case
  tekken,      ///< the same without contractions, and with single digits
  kimi_k2,     ///< the same with words of Han characters apart
  deepseek_v3,
  trailing_space,  ///< \s+$
};
std::unique_ptr<Finder> make_scanner(Scanner scanner);

/// A scanner for a pattern written as in a tokenizer.json, or null when it is not one of the known ones.
std::unique_ptr<Finder> make_known(std::string_view pattern);

/// Every occurrence of a fixed string.
std::unique_ptr<Finder> make_literal(std::string text);

/// A pattern in the syntax of Oniguruma (what tokenizer.json holds) under PCRE2, UTF and Unicode properties on.
/// Errors: bad_file when it does not compile, unsupported for syntax that PCRE2 would read differently.
Result<std::unique_ptr<Finder>> make_pattern(std::string_view pattern);

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Normalisation of text between added tokens, before it is split: an ordered list of steps.

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/finder.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {

struct NormalizerStep {
  enum class Kind { unicode, prepend, replace, strip };
  Kind kind = Kind::unicode;
  Normalization form = Normalization::nfc;
  std::unique_ptr<Finder> finder = nullptr;  ///< of replace: what is replaced
  std::string content = {};                  ///< of replace and prepend
  bool left = false, right = false;          ///< of strip: the ends that lose their white space
};

class Normalizer {
 public:
  Normalizer() = default;
  explicit Normalizer(std::vector<NormalizerStep> steps) : steps_(std::move(steps)) {}

  bool empty() const { return steps_.empty(); }
  /// Adds something before every text.
  bool prepends() const;
  /// May remove the beginning of a text.
  bool strips_beginning() const;
  /// May replace the first character by several.
  bool widens_beginning() const;
  FinderStates make_states() const;
  /// Errors: bad_argument, from a pattern.
  Result<std::string> run(std::string_view text, const FinderStates& states) const;
  std::string description() const;

 private:
  std::vector<NormalizerStep> steps_;
};

}  // namespace moe::inline MOE_ABI::tokenizer

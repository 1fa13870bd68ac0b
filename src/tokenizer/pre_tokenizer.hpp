#pragma once
// Splits a text into the pieces that byte-pair merges never cross: an ordered list of splits.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/finder.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// How a match and the text around it are split (names as in tokenizer.json).
enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

/// Where a space is added before a split.
enum class InFront { nothing, of_all, of_text };

struct Split {
  std::unique_ptr<Finder> finder;  ///< null: no split (a ByteLevel or Metaspace that only changes spaces)
  Behavior behavior = Behavior::isolated;
  bool invert = false;
  std::string space = {};  ///< before the split, spaces become this; empty: they stay
  /// And adds one where there is none: before every segment, or before the one that begins the text.
  InFront in_front = InFront::nothing;
};

class PreTokenizer {
 public:
  explicit PreTokenizer(std::vector<Split> splits) : splits_(std::move(splits)) {}

  FinderStates make_states() const;
  std::string description() const;

  /// Calls `emit(piece)` (returning Result<void>) for every piece in order; empty ones are dropped. `begins`: the
  /// segment is the beginning of a text.
  template <class Emit>
  Result<void> run(std::string_view segment, bool begins, const FinderStates& states, Emit&& emit) const {
    return run_from(0, segment, begins, states, emit);
  }

 private:
  struct Part {
    Match range;
    bool is_match = false;
  };

  static std::string with_spaces(const Split& split, std::string_view segment, bool begins);
  Result<std::vector<Part>> parts(const Split& split, FinderState* state, std::string_view segment) const;

  template <class Emit>
  Result<void> run_from(std::size_t k, std::string_view segment, bool begins, const FinderStates& states,
                        Emit& emit) const {
    if (segment.empty()) return {};
    if (k == splits_.size()) return emit(segment);
    const Split& split = splits_[k];
    std::string changed;
    if (!split.space.empty()) {
      changed = with_spaces(split, segment, begins);
      segment = changed;
    }
    if (!split.finder) return run_from(k + 1, segment, begins, states, emit);
    if (split.behavior == Behavior::isolated) return run_isolated(k, segment, begins, states, emit);
    const auto pieces = parts(split, states[k].get(), segment);
    if (!pieces) return forward(pieces);
    for (const Part& part : *pieces) {
      auto done = run_from(k + 1, segment.substr(part.range.begin, part.range.end - part.range.begin),
                           begins && part.range.begin == 0, states, emit);
      if (!done) return done;
    }
    return {};
  }

  template <class Emit>
  Result<void> run_isolated(std::size_t k, std::string_view segment, bool begins, const FinderStates& states,
                            Emit& emit) const {
    Matches matches(*splits_[k].finder, states[k].get(), segment);
    std::size_t done = 0;
    Match match;
    Error error;
    for (;;) {
      const Found found = matches.next(match, error);
      if (found == Found::failed) return tl::unexpected<Error>(std::move(error));
      if (found == Found::no) break;
      if (match.begin > done) {
        auto before = run_from(k + 1, segment.substr(done, match.begin - done), begins && done == 0, states, emit);
        if (!before) return before;
      }
      auto piece = run_from(k + 1, segment.substr(match.begin, match.end - match.begin), begins && match.begin == 0,
                            states, emit);
      if (!piece) return piece;
      done = match.end;
    }
    return run_from(k + 1, segment.substr(done), begins && done == 0, states, emit);
  }

  std::vector<Split> splits_;
};

/// A pre-tokenizer named by `tokenizer.ggml.pre`, with what else the name implies.
struct NamedPreTokenizer {
  std::vector<Split> splits;
  bool ignore_merges = false;  ///< a piece that is a token stays whole
  bool add_bos = false;        ///< where the file does not say
};
/// Errors: unsupported, listing the known names.
Result<NamedPreTokenizer> named_pre_tokenizer(std::string_view name);
/// The name whose splits have this description; empty when there is none.
std::string_view name_of_splits(std::string description, bool ignore_merges);

}  // namespace moe::inline MOE_ABI::tokenizer

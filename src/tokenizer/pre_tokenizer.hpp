#pragma once
// From a text to the pieces that byte-pair merges never cross: an ordered list of splits.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/finder.hpp"

namespace moe::inline MOE_ABI::tokenizer {

/// What becomes of a match and of the text around it (the names of tokenizer.json).
enum class Behavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };

struct Split {
  std::unique_ptr<Finder> finder;  ///< null: no split (a ByteLevel that only adds the space)
  Behavior behavior = Behavior::isolated;
  bool invert = false;
  bool add_prefix_space = false;  ///< put a space before every segment that has none, then split
};

class PreTokenizer {
 public:
  using States = std::vector<std::unique_ptr<FinderState>>;

  explicit PreTokenizer(std::vector<Split> splits) : splits_(std::move(splits)) {}

  States make_states() const;
  std::string description() const;

  /// Calls `emit(piece)` (returning Result<void>) for every piece in order; empty ones are dropped.
  template <class Emit>
  Result<void> run(std::string_view segment, const States& states, Emit&& emit) const {
    return run_from(0, segment, states, emit);
  }

 private:
  struct Part {
    Match range;
    bool is_match = false;
  };

  /// The matches of a split one after the other; empty ones split but are never repeated at one place.
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

  Result<std::vector<Part>> parts(const Split& split, FinderState* state, std::string_view segment) const;

  template <class Emit>
  Result<void> run_from(std::size_t k, std::string_view segment, const States& states, Emit& emit) const {
    if (segment.empty()) return {};
    if (k == splits_.size()) return emit(segment);
    const Split& split = splits_[k];
    std::string with_space;
    if (split.add_prefix_space && segment.front() != ' ') {
      with_space.reserve(segment.size() + 1);
      with_space.push_back(' ');
      with_space.append(segment);
      segment = with_space;
    }
    if (!split.finder) return run_from(k + 1, segment, states, emit);
    if (split.behavior == Behavior::isolated) return run_isolated(k, segment, states, emit);
    const auto pieces = parts(split, states[k].get(), segment);
    if (!pieces) return forward(pieces);
    for (const Part& part : *pieces) {
      auto done = run_from(k + 1, segment.substr(part.range.begin, part.range.end - part.range.begin), states, emit);
      if (!done) return done;
    }
    return {};
  }

  template <class Emit>
  Result<void> run_isolated(std::size_t k, std::string_view segment, const States& states, Emit& emit) const {
    Matches matches(*splits_[k].finder, states[k].get(), segment);
    std::size_t done = 0;
    Match match;
    Error error;
    for (;;) {
      const Found found = matches.next(match, error);
      if (found == Found::failed) return tl::unexpected<Error>(std::move(error));
      if (found == Found::no) break;
      if (match.begin > done) {
        auto before = run_from(k + 1, segment.substr(done, match.begin - done), states, emit);
        if (!before) return before;
      }
      auto piece = run_from(k + 1, segment.substr(match.begin, match.end - match.begin), states, emit);
      if (!piece) return piece;
      done = match.end;
    }
    return run_from(k + 1, segment.substr(done), states, emit);
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

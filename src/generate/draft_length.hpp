#pragma once
// How many tokens are worth drafting, from how often the last ones were right.

#include <array>
#include <cstddef>
#include <cstdint>

#include "moe/draft.hpp"

namespace moe::inline MOE_ABI::generate {

/// The share of a step's time that one more token adds, for a step of one token. Tokens are read at the cost of the
/// weights, which a step reads once; `routed_share` of them are routed experts, which another token mostly does not
/// share.
double cost_of_token(double routed_share);
/// The same for a reply among so many: its part of the step that it prolongs.
double cost_among(double cost_of_token, std::size_t replies);

/// Of one reply. It depends on nothing but the draws before, so a run's work can be repeated.
class LengthControl {
 public:
  /// Drafts of different trust (a long match, a short one) are learned apart.
  static constexpr std::size_t kTrusts = 3;

  explicit LengthControl(const DraftOptions& options)
      : is_fixed_(options.length == DraftLength::fixed), limit_(options.tokens) {}

  /// Tokens to draft now, at most `most`. `cost`: of drafting and checking one, as a share of a step.
  std::int64_t choose(std::size_t trust, double cost, std::int64_t most);
  void note(std::size_t trust, std::int64_t drafted, std::int64_t accepted);

 private:
  struct Record {
    double right = 0, wrong = 0;  // of late
    std::int64_t waited = 0;      // draws without a draft
    std::int64_t pause = 0;       // between two attempts when drafts do not pay; 0: they do
  };
  bool is_fixed_;
  std::int64_t limit_;
  std::array<Record, kTrusts> records_ = {};
};

}  // namespace moe::inline MOE_ABI::generate

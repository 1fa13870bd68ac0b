#pragma once
// Speculative decoding: tokens that are proposed cheaply and then checked by the model, several in one step.
//
// At every position the model's own token is chosen from its own logits with the request's own random numbers; a
// proposed token only decides whether the logits behind it are known already. Replies are therefore those of plain
// decoding, to the bit. What changes is the time, and the work: rejected drafts were computed for nothing.

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/token.hpp"

namespace moe::inline MOE_ABI {

/// Who proposes tokens.
enum class DraftKind {
  none,
  ngram,  ///< what followed the last tokens where they stood before, in the prompt or the reply
  model,  ///< a second, smaller model with the same vocabulary: Generator::use_draft_model
  host,   ///< DraftOptions::propose
  mtp,    ///< the model's own multi-token-prediction layer: Generator::use_mtp
};
constexpr std::string_view name_of(DraftKind value) noexcept {
  switch (value) {
    case DraftKind::none: return "none";
    case DraftKind::ngram: return "ngram";
    case DraftKind::model: return "model";
    case DraftKind::host: return "host";
    case DraftKind::mtp: return "mtp";
  }
  return "";
}

/// How many tokens are proposed.
enum class DraftLength {
  adaptive,  ///< up to DraftOptions::tokens, as many as pay for themselves given how often the last ones were right
  fixed,     ///< DraftOptions::tokens, always
};
constexpr std::string_view name_of(DraftLength value) noexcept {
  switch (value) {
    case DraftLength::adaptive: return "adaptive";
    case DraftLength::fixed: return "fixed";
  }
  return "";
}

inline constexpr std::int64_t kMostDraftTokens = 64;

struct DraftOptions {
  DraftKind kind = DraftKind::none;
  std::int64_t tokens = 8;  ///< proposed at a time, at most; 0 to kMostDraftTokens
  DraftLength length = DraftLength::adaptive;
  /// For DraftKind::host: appends up to `most` tokens that may follow prompt and reply (`written`) to `draft`, which is
  /// empty. Of more, and from an id outside the vocabulary on, the rest is ignored. From the calling thread.
  std::function<void(std::span<const TokenId> written, std::int64_t most, std::vector<TokenId>& draft)> propose = {};
};

/// What drafts did for one reply.
struct DraftReport {
  std::int64_t drafted = 0;   ///< proposed tokens that were run by the model
  std::int64_t accepted = 0;  ///< of those, tokens of the reply
  std::int64_t flops = 0;     ///< executed by the draft model or the MTP layer
  /// 0 when nothing was drafted.
  double acceptance() const { return drafted > 0 ? static_cast<double>(accepted) / static_cast<double>(drafted) : 0.0; }
  DraftReport& operator+=(const DraftReport& o) {
    drafted += o.drafted, accepted += o.accepted, flops += o.flops;
    return *this;
  }
};

}  // namespace moe::inline MOE_ABI

#pragma once
// The score of a token of a prompt, as small as it can be kept beside its prefix.

#include "moe/token.hpp"

namespace moe::inline MOE_ABI::serve {

/// Of the raw logits before the token: bits that depend on the tokens up to it and on nothing else.
struct TokenScore {
  double log_probability = 0;
  double best_log_probability = 0;
  TokenId best = -1;  ///< -1: unknown
  bool is_known() const { return best >= 0; }
};

}  // namespace moe::inline MOE_ABI::serve

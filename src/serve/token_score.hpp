#pragma once
// The score of a prompt token, in compact form for the prefix index.

#include "moe/token.hpp"

namespace moe::inline MOE_ABI::serve {

/// From the raw logits before the token; depends only on the tokens up to it.
struct TokenScore {
  double log_probability = 0;
  double best_log_probability = 0;
  TokenId best = -1;  ///< -1: unknown
  bool is_known() const { return best >= 0; }
};

}  // namespace moe::inline MOE_ABI::serve

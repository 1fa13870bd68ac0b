#pragma once
// The work of a part of an evaluation, from a counter that runs through all of it.

#include "moe/flops.hpp"

namespace moe::inline MOE_ABI::eval {

/// The work between two readings of a counter.
inline Work difference(Work after, const Work& before) {
  for (auto part : {&Work::attention_projection, &Work::attention_score, &Work::attention_value, &Work::index_score,
                    &Work::recurrent, &Work::router, &Work::routed_experts, &Work::shared_experts, &Work::dense_ffn,
                    &Work::head, &Work::mtp_projection, &Work::tokens, &Work::head_tokens})
    after.*part -= before.*part;
  return after;
}

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// The library's Work as moe_work.

#include "moe.h"
#include "moe/flops.hpp"

namespace moe::inline MOE_ABI::c {

inline moe_work work_of(const Work& w) {
  moe_work out{};
  out.total = w.total();
  out.attention_projection = w.attention_projection;
  out.attention_score = w.attention_score;
  out.attention_value = w.attention_value;
  out.router = w.router;
  out.routed_experts = w.routed_experts;
  out.shared_experts = w.shared_experts;
  out.dense_ffn = w.dense_ffn;
  out.head = w.head;
  out.tokens = w.tokens;
  out.head_tokens = w.head_tokens;
  return out;
}

}  // namespace moe::inline MOE_ABI::c

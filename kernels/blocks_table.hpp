#pragma once
// The float kernels' part of a table (kernels/make_table.hpp adds the gemms).

#include "kernels/activation.hpp"
#include "kernels/attention_gqa.hpp"
#include "kernels/attention_mla.hpp"
#include "kernels/cache.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/indexer.hpp"
#include "kernels/recurrent.hpp"
#include "kernels/rms_norm.hpp"
#include "kernels/rope.hpp"
#include "kernels/softmax.hpp"
#include "kernels/table.hpp"
#include "moe/detail/reference/activation.hpp"
#include "moe/detail/reference/attention.hpp"
#include "moe/detail/reference/cache.hpp"
#include "moe/detail/reference/elementwise.hpp"
#include "moe/detail/reference/indexer.hpp"
#include "moe/detail/reference/recurrent.hpp"
#include "moe/detail/reference/rms_norm.hpp"
#include "moe/detail/reference/rope.hpp"
#include "moe/detail/reference/softmax.hpp"

namespace moe::inline MOE_ABI::kernels {

template <class Arch>
void fill_blocks(KernelTable& t) noexcept {
  t.rms_norm = rms_norm<Arch>;
  t.layer_norm = layer_norm<Arch>;
  t.silu_mul = silu_mul<Arch>;
  t.gelu_mul = gelu_mul<Arch>;
  t.swiglu_clamped = swiglu_clamped<Arch>;
  t.sigmoid = sigmoid<Arch>;
  t.sigmoid_mul = sigmoid_mul<Arch>;
  t.relu_square = relu_square<Arch>;
  t.soft_cap = soft_cap<Arch>;
  t.softmax = softmax<Arch>;
  t.add = add_rows<Arch>;
  t.axpy = axpy<Arch>;
  t.rope_half = rope_half<Arch>;
  t.rope_interleaved = rope_interleaved<Arch>;
  t.store_cache = store_cache<Arch>;
  t.attention_gqa = attention_gqa<Arch>;
  t.attention_mla = attention_mla<Arch>;
  t.index_scores = index_scores<Arch>;
  t.causal_conv = causal_conv<Arch>;
  t.state_steps = state_steps<Arch>;
}

/// The scalar table uses the reference functions directly.
template <>
inline void fill_blocks<Scalar>(KernelTable& t) noexcept {
  t.rms_norm = reference::rms_norm;
  t.layer_norm = reference::layer_norm;
  t.silu_mul = reference::silu_mul;
  t.gelu_mul = reference::gelu_mul;
  t.swiglu_clamped = reference::swiglu_clamped;
  t.sigmoid = reference::sigmoid;
  t.sigmoid_mul = reference::sigmoid_mul;
  t.relu_square = reference::relu_square;
  t.soft_cap = reference::soft_cap;
  t.softmax = reference::softmax;
  t.add = reference::add;
  t.axpy = reference::axpy;
  t.rope_half = reference::rope_half;
  t.rope_interleaved = reference::rope_interleaved;
  t.store_cache = reference::store_cache;
  t.attention_gqa = reference::attention_gqa;
  t.attention_mla = reference::attention_mla;
  t.index_scores = reference::index_scores;
  t.causal_conv = reference::causal_conv;
  t.state_steps = reference::state_steps;
}

}  // namespace moe::inline MOE_ABI::kernels

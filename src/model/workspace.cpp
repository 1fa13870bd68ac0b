#include "model/workspace.hpp"

#include <algorithm>

#include "model/chosen_keys.hpp"

namespace moe::inline MOE_ABI {
namespace {

struct Sizes {
  std::int64_t width_q, width_k, width_v, width_o, dense;
};

Sizes sizes_of(const ModelConfig& c) {
  Sizes s{};
  const bool mla = c.attention == AttentionKind::mla;
  s.width_q = c.head_count * c.max_head_dim() * (c.attention_gate ? 2 : 1);
  s.width_k = mla ? c.kv_lora_rank + c.qk_rope_head_dim : c.max_key_width();
  s.width_v = mla ? 0 : s.width_k;
  s.dense = std::max({c.intermediate_size, c.kv_shared_intermediate_size, c.shared_width()});
  s.width_o = c.head_count * (mla ? c.v_head_dim : c.max_head_dim());
  return s;
}

template <class W, class Item, class Item8>
void each_recurrent(W& w, const ModelConfig& c, std::int64_t chunk, Item item, Item8 item8) {
  std::int64_t width = 0, channels = 0, out = 0;
  for (std::int64_t layer = 0; layer < c.layer_count; ++layer) {
    if (!c.is_recurrent(layer)) continue;
    channels = std::max(channels, c.conv_channels(layer));
    width = std::max(width, c.recurrent_in_width(layer));
    out = std::max(out, c.recurrent_out_width(layer));
  }
  if (width == 0) return;
  item(w.mixed, chunk * width);
  item(w.convolved, chunk * channels);
  item(w.gates, chunk * 2 * c.recurrent.heads);
  item8(w.q8_mixed, chunk, out);
}

template <class W, class Item, class Integers>
void each_indexer(W& w, const ModelConfig& c, const StepShape& shape, Item item, Integers integers) {
  const IndexerConfig& x = c.indexer;
  if (x.head_count == 0) return;
  item(w.index_q, shape.chunk_tokens * x.head_count * x.head_dim);
  item(w.index_k, shape.chunk_tokens * x.head_dim);
  item(w.index_weights, shape.chunk_tokens * x.head_count);
  if (chosen_width(c) == 0) return;
  item(w.index_scores, kIndexRows * shape.most_keys(c));
  item(w.index_sorted, shape.workers * shape.most_keys(c));
  integers(w.chosen, shape.chunk_tokens * chosen_width(c));
}

template <class W, class Item, class Item8>
void each_layer_input(W& w, const ModelConfig& c, const StepShape& shape, Item item, Item8 item8) {
  if (c.dense_beside_experts) item(w.dense_branch, shape.chunk_tokens * c.hidden_size);
  if (c.layer_input_size == 0) return;
  item(w.layer_inputs, shape.chunk_tokens * c.layer_count * c.layer_input_size);
  item(w.layer_rows, shape.workers * c.layer_count * c.layer_input_size);
  item(w.layer_gate, shape.chunk_tokens * c.layer_input_size);
  item8(w.q8_layer_gate, shape.chunk_tokens, c.layer_input_size);
}

// Calls item(buffer, values) for every float buffer and item8(buffer, rows, width) for every quantised one, so that
// allocate() and bytes() agree.
template <class W, class Item, class Item8, class Integers, class Bytes>
void each(W& w, const ModelConfig& c, const StepShape& shape, Item item, Item8 item8, Integers integers, Bytes bytes) {
  const Sizes s = sizes_of(c);
  const std::int64_t H = c.head_count, K = c.router.top_k, chunk = shape.chunk_tokens, workers = shape.workers;
  const bool mla = c.attention == AttentionKind::mla;
  item(w.hidden, chunk * c.hidden_size);
  item(w.normed, chunk * c.hidden_size);
  item(w.cos, chunk * (c.full_rotated_dim() / 2));
  item(w.sin, chunk * (c.full_rotated_dim() / 2));
  if (c.sliding_rope) {
    item(w.sliding_cos, chunk * (c.rotated_dim() / 2));
    item(w.sliding_sin, chunk * (c.rotated_dim() / 2));
  }
  item(w.q, chunk * s.width_q);
  item(w.k, chunk * s.width_k);
  item(w.v, chunk * s.width_v);
  const std::int64_t rows = mla ? workers * kMlaTaskRows : chunk * H;
  item(w.q_rows, rows * (mla ? c.kv_lora_rank + c.qk_rope_head_dim : c.max_head_dim()));
  item(w.o_rows, rows * (mla ? c.kv_lora_rank : c.max_head_dim()));
  integers(w.positions, rows);
  item(w.o_in, chunk * std::max(s.width_o, c.recurrent.values()));
  each_recurrent(w, c, chunk, item, item8);
  each_layer_input(w, c, shape, item, item8);
  item(w.act_dense, chunk * s.dense);
  item8(w.q8_normed, chunk, c.hidden_size);
  item8(w.q8_o_in, chunk, H * c.v_head_dim);
  if (c.full_head_dim > 0) item8(w.q8_full_o_in, chunk, s.width_o);
  item8(w.q8_dense, chunk, s.dense);
  // Tiles repeat tokens to be even: the worst is 5 tokens as two tiles of 4.
  const std::int64_t routed_rows = shape.routed_rows(c);
  const std::int64_t down_values =
      std::max(chunk * s.dense, chunk * c.shared_width() + routed_rows * c.moe_intermediate_size);
  bytes(w.down_tiles, down_values / kernels::kBlock * kernels::kTileBlockBytes * 8 / 5);
  if (mla) {
    item(w.q_a, chunk * c.q_lora_rank);
    item8(w.q8_q_a, chunk, c.q_lora_rank);
    item8(w.q8_q_parts, rows, c.qk_nope_head_dim);
    item8(w.q8_o_parts, rows, c.kv_lora_rank);
    each_indexer(w, c, shape, item, integers);
  }
  if (c.router.expert_count > 0) {
    item(w.router, chunk * c.router.expert_count);
    item(w.shared_gate, chunk);
    item(w.act_routed, routed_rows * c.moe_intermediate_size);
    if (shape.streams_experts) item(w.expert_out, chunk * K * c.hidden_size);
    item(w.expert_weights, chunk * K);
    item8(w.q8_routed, routed_rows, c.moe_intermediate_size);
    integers(w.expert_ids, chunk * K);
    integers(w.expert_counts, chunk);
    integers(w.pair_token, chunk * K);
    integers(w.pair_of, chunk * K);
  }
  if (c.is_mtp_layer) {
    item(w.mtp_in, chunk * 2 * c.hidden_size);
    item8(w.q8_mtp_in, chunk, 2 * c.hidden_size);
  }
  if (!c.sliding_layers.empty()) integers(w.first_positions, chunk * H);
  if (c.attention_sinks) item(w.sinks, chunk * H);
}

template <class T>
void take(AlignedBuffer<T>& buffer, std::int64_t count, Result<void>& status) {
  if (!status) return;
  auto made = AlignedBuffer<T>::create(static_cast<std::size_t>(count));
  if (made)
    buffer = std::move(*made);
  else
    status = forward(made);
}

}  // namespace

Result<void> Workspace::allocate(const ModelConfig& config, const StepShape& shape) {
  Result<void> status;
  routed_rows = shape.routed_rows(config);
  index_columns = shape.most_keys(config);
  each(
      *this, config, shape, [&](auto& buffer, std::int64_t n) { take(buffer, n, status); },
      [&](Q8Buffer& buffer, std::int64_t rows, std::int64_t width) {
        if (status) status = buffer.allocate(rows, width);
      },
      [&](auto& buffer, std::int64_t n) { take(buffer, n, status); },
      [&](auto& buffer, std::int64_t n) { take(buffer, n, status); });
  return status;
}

std::int64_t Workspace::bytes(const ModelConfig& config, const StepShape& shape) {
  std::int64_t sum = 0;
  Workspace none;
  each(
      none, config, shape,
      [&](auto& buffer, std::int64_t n) { sum += n * static_cast<std::int64_t>(sizeof(buffer[0])); },
      [&](Q8Buffer&, std::int64_t rows, std::int64_t width) { sum += Q8Buffer::bytes(rows, width); },
      [&](auto& buffer, std::int64_t n) { sum += n * static_cast<std::int64_t>(sizeof(buffer[0])); },
      [&](auto&, std::int64_t n) { sum += n; });
  return sum;
}

TileSizes::TileSizes(const ModelConfig& c, const StepShape& shape) {
  // A down task has one column range of every (token, expert) pair. Eight panels of an expert are a stream long
  // enough for the prefetchers, and its inputs are read an eighth as often as with one.
  const std::int64_t chunk_tokens = shape.chunk_tokens;
  const bool routed_too = c.router.expert_count > 0 && !shape.streams_experts;  // those have a buffer of their own
  const std::int64_t rows = chunk_tokens * (1 + (routed_too ? c.router.top_k : 0));
  down_panels = 8;
  floats = std::max(2 * kTokenTile * kMaxSegment, rows * down_panels * kernels::kPanelRows);
  const std::int64_t widest =
      std::max({c.hidden_size, sizes_of(c).width_o, c.recurrent.values(), c.q_lora_rank, c.kv_lora_rank,
                sizes_of(c).dense, c.moe_intermediate_size, c.is_mtp_layer ? 2 * c.hidden_size : 0});
  q8_bytes = std::min(kTokenRange, chunk_tokens) * (widest / kernels::kBlock) * kernels::kTileBlockBytes * 8 / 5;
}

std::int64_t scratch_bytes(const ModelConfig& config, const StepShape& shape) {
  const TileSizes tiles(config, shape);
  return Workspace::bytes(config, shape) +
         shape.workers * (tiles.floats * static_cast<std::int64_t>(sizeof(float)) + tiles.q8_bytes);
}

}  // namespace moe::inline MOE_ABI

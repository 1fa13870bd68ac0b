#include "model/recurrent_rows.hpp"

#include <algorithm>

namespace moe::inline MOE_ABI {

RecurrentRows::RecurrentRows(const ModelConfig& c, Mixer mixer, const RecurrentWeights& w)
    : width(w.in.rows + w.in_z.rows + w.in_b.rows + w.in_a.rows),
      heads_(c.recurrent.heads),
      key_heads_(std::max<std::int64_t>(1, c.recurrent.key_heads)),
      per_key_(std::max<std::int64_t>(1, heads_ / key_heads_)),
      key_dim_(c.recurrent.key_dim),
      value_dim_(c.recurrent.value_dim),
      tiled_(c.recurrent.tiled_heads) {
  switch (mixer) {
    case Mixer::delta_net: delta_net(w); break;
    case Mixer::mamba2: mamba2(); break;
    default: channels = c.hidden_size;
  }
}

// Either one part after the other, [q | k | v] and [z], or one matrix with [q | k | v | z] of each key head (the first
// files of Qwen3-Next); the same for [b] and [a].
void RecurrentRows::delta_net(const RecurrentWeights& w) {
  const std::int64_t keys = key_heads_ * key_dim_, values = heads_ * value_dim_, r = per_key_ * value_dim_;
  channels = 2 * keys + values;
  k = keys, v = 2 * keys;
  if (w.in_z.empty()) {
    const std::int64_t group = 2 * key_dim_ + 2 * r;
    for (std::int64_t h = 0; h < key_heads_; ++h) {
      columns.push_back({h * group, h * key_dim_, key_dim_});
      columns.push_back({h * group + key_dim_, k + h * key_dim_, key_dim_});
      columns.push_back({h * group + 2 * key_dim_, v + h * r, r});
    }
    z_ = 2 * key_dim_ + r, z_group_ = group;
  } else {
    columns.push_back({0, 0, channels});
    z_ = channels, z_group_ = r;
  }
  const std::int64_t gates = w.in.rows + w.in_z.rows;
  step_ = gates;
  if (w.in_a.empty())
    decay_ = gates + per_key_, gate_group_ = 2 * per_key_;
  else
    decay_ = gates + heads_, gate_group_ = per_key_;
}

// [z | x | B | C | dt], x B C through the convolution.
void RecurrentRows::mamba2() {
  const std::int64_t keys = key_heads_ * key_dim_, values = heads_ * value_dim_;
  channels = 2 * keys + values;
  columns.push_back({values, 0, channels});
  v = 0, k = values, q = values + keys;
  z_ = 0, z_group_ = per_key_ * value_dim_;
  step_ = decay_ = values + channels, gate_group_ = per_key_;
}

}  // namespace moe::inline MOE_ABI

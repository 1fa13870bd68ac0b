#pragma once
// Where the parts of a recurrent layer's projections stand in a row, and those of its convolution.

#include <cstdint>
#include <vector>

#include "model/weights.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Rows of the projections hold the outputs of `in`, `in_z`, `in_b` and `in_a`, one after the other.
class RecurrentRows {
 public:
  RecurrentRows() = default;
  RecurrentRows(const ModelConfig& config, Mixer mixer, const RecurrentWeights& w);

  /// Columns [from, from + count) are channels [channel, channel + count) of the convolution.
  struct Columns {
    std::int64_t from = 0, channel = 0, count = 0;
  };
  std::vector<Columns> columns;
  std::int64_t width = 0;
  std::int64_t channels = 0;
  std::int64_t q = 0, k = 0, v = 0;  ///< channels of the first head

  /// Columns of the output gate, of the step (delta_net: beta; mamba2: dt) and of the decay's input.
  std::int64_t z(std::int64_t head) const { return z_ + head / per_key_ * z_group_ + head % per_key_ * value_dim_; }
  std::int64_t step(std::int64_t head) const { return step_ + head / per_key_ * gate_group_ + head % per_key_; }
  std::int64_t decay(std::int64_t head) const { return decay_ + head / per_key_ * gate_group_ + head % per_key_; }
  /// The head of q and k that this head of values uses.
  std::int64_t key_head(std::int64_t head) const { return tiled_ ? head % key_heads_ : head / per_key_; }

 private:
  void delta_net(const RecurrentWeights& w);
  void mamba2();

  std::int64_t heads_ = 0, key_heads_ = 1, per_key_ = 1, key_dim_ = 0, value_dim_ = 0;
  std::int64_t z_ = 0, z_group_ = 0, step_ = 0, decay_ = 0, gate_group_ = 0;
  bool tiled_ = false;
};

}  // namespace moe::inline MOE_ABI

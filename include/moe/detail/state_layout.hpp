#pragma once
// What a sequence keeps of its recurrent layers at one position, as one block of float32.

#include <cstdint>
#include <vector>

#include "moe/config.hpp"
#include "moe/detail/recurrent.hpp"

namespace moe::inline MOE_ABI::detail {

/// Offsets in floats within a block. Per recurrent layer,
///   delta_net, mamba2  per head: the matrix [key_dim, value_dim], in tiles (StateSteps)
///   all                the last conv_kernel - 1 inputs of the convolution, [conv_kernel - 1, channels], oldest first
struct StateLayout {
  struct Layer {
    std::int64_t matrices = 0, tail = 0;
    std::int64_t matrix_floats = 0;  // of one head
  };
  StateLayout() = default;
  explicit StateLayout(const ModelConfig& c) : layers(static_cast<std::size_t>(c.layer_count)) {
    for (std::int64_t i = 0; i < c.layer_count; ++i) {
      if (!c.is_recurrent(i)) continue;
      Layer& layer = layers[static_cast<std::size_t>(i)];
      layer.matrices = floats;
      if (c.mixer(i) != Mixer::short_conv) {
        layer.matrix_floats = state_floats(c.recurrent.key_dim, c.recurrent.value_dim);
        floats += c.recurrent.heads * layer.matrix_floats;
      }
      layer.tail = floats;
      // The next layer begins on a cache line of its own.
      floats += ((c.recurrent.conv_kernel - 1) * c.conv_channels(i) + 15) / 16 * 16;
    }
  }

  std::vector<Layer> layers;
  std::int64_t floats = 0;  // of the block; 0: no layer has a state

  const Layer& at(std::int64_t layer) const { return layers[static_cast<std::size_t>(layer)]; }
  std::int64_t bytes() const { return floats * static_cast<std::int64_t>(sizeof(float)); }
};

/// Evaluations keep a state for every 8 tokens of a step where memory allows it, so that a step full of short sequences
/// has one for each.
inline constexpr std::int64_t kTokensPerState = 8;

}  // namespace moe::inline MOE_ABI::detail

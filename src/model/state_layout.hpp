#pragma once
// What a sequence keeps of its recurrent layers at one position, as one block of float32.

#include <cstdint>
#include <vector>

#include "moe/config.hpp"

namespace moe::inline MOE_ABI {

/// Offsets in floats within a block. Per recurrent layer,
///   delta_net, mamba2  per head: the matrix [key_dim, value_dim]
///   all                the last conv_kernel - 1 inputs of the convolution, [conv_kernel - 1, channels], oldest first
struct StateLayout {
  struct Layer {
    std::int64_t matrices = 0, tail = 0;
    std::int64_t matrix_floats = 0;  // of one head
    std::int64_t tail_floats = 0;
  };
  StateLayout() = default;
  explicit StateLayout(const ModelConfig& config);

  std::vector<Layer> layers;
  std::int64_t floats = 0;  // of the block; 0: no layer has a state

  const Layer& at(std::int64_t layer) const { return layers[static_cast<std::size_t>(layer)]; }
  std::int64_t bytes() const { return floats * static_cast<std::int64_t>(sizeof(float)); }
};

}  // namespace moe::inline MOE_ABI

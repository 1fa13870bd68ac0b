#include "model/state_layout.hpp"

namespace moe::inline MOE_ABI {
namespace {
// Tasks write neighbouring parts: each begins on a cache line of its own.
std::int64_t whole_lines(std::int64_t floats) { return (floats + 15) / 16 * 16; }
}  // namespace

StateLayout::StateLayout(const ModelConfig& c) {
  layers.resize(static_cast<std::size_t>(c.layer_count));
  for (std::int64_t i = 0; i < c.layer_count; ++i) {
    if (!c.is_recurrent(i)) continue;
    Layer& layer = layers[static_cast<std::size_t>(i)];
    layer.matrices = floats;
    if (c.mixer(i) != Mixer::short_conv) {
      layer.matrix_floats = whole_lines(c.recurrent.key_dim * c.recurrent.value_dim);
      floats += c.recurrent.heads * layer.matrix_floats;
    }
    layer.tail = floats;
    layer.tail_floats = (c.recurrent.conv_kernel - 1) * c.conv_channels(i);
    floats += whole_lines(layer.tail_floats);
  }
}

}  // namespace moe::inline MOE_ABI

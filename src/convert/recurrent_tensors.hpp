#pragma once
// The tensors of layers that keep a state, as GGUF files have them.

#include <functional>
#include <vector>

#include "convert/convert.hpp"

namespace moe::inline MOE_ABI::convert {

/// What the lister of tensors gives: a tensor of the layer (null: the directory has none), and a new one of the output.
struct RecurrentParts {
  std::function<const checkpoint::TensorInfo*(arch::Role)> find;
  std::function<OutputTensor&(arch::Role, std::vector<std::int64_t> shape)> start;
};

/// A layer of Mixer::delta_net. `tiled`: the family's Family::gguf_tiled_heads.
void add_delta_net(const RecurrentConfig& config, bool tiled, const RecurrentParts& parts);
/// A layer of Mixer::short_conv.
void add_short_conv(const RecurrentParts& parts);

}  // namespace moe::inline MOE_ABI::convert

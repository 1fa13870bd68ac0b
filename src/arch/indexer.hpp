#pragma once
// Settings of sparse attention (DSA): the lightning indexer, and layers that use the choice of the layer before them.

#include "arch/gguf_config.hpp"
#include "arch/json_config.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::arch {

/// Heads, their width and the number of keys. All layers choose keys themselves.
void read_indexer(const JsonConfig& json, RopeStyle style, ModelConfig& config);
void read_indexer(GgufConfig& meta, RopeStyle style, ModelConfig& config);

/// Which layers do. As in transformers: indexer_types, else index_topk_pattern, else a schedule of index_topk_freq and
/// index_skip_topk_offset.
void read_indexer_types(const JsonConfig& json, ModelConfig& config);
/// attention.indexer.types; a file without it says so by the tensors it has.
void read_indexer_types(GgufConfig& meta, ModelConfig& config);

}  // namespace moe::inline MOE_ABI::arch

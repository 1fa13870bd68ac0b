#pragma once
// One GGUF file (version 2 or 3): everything before the weights, checked.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// The place of a metadata entry's type and value.
struct MetadataRange {
  std::string key;
  std::uint64_t offset = 0, bytes = 0;
};

struct GgufHeader {
  std::map<std::string, MetaValue, std::less<>> metadata;
  std::vector<MetadataRange> ranges;  ///< in file order
  std::vector<TensorInfo> tensors;    ///< offsets from the file's start
  std::vector<UnsupportedTensor> unsupported;
  std::uint64_t hash = 0;  ///< of the bytes before the weights
};

/// Reads and checks the header; afterwards every tensor lies inside the file, without overlap or gap.
/// Errors: bad_file, unsupported (version, byte order, type id), io.
/// Cost: at most 256 MiB of the file are read, and memory stays below 16 times the header.
Result<GgufHeader> read_gguf_header(const InputFile& file);

}  // namespace moe::inline MOE_ABI::checkpoint

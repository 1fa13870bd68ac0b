#pragma once
// One GGUF file (version 2 or 3): everything before the weights, checked.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

struct MetadataEntry {
  std::string key;
  MetaValue value;
  std::uint64_t offset = 0, bytes = 0;  ///< the place of its type and value
};

/// In file order, and found by key. One vector: an entry of 16 bytes in the file takes 100 here, where a node of a map
/// and a list of places took 200.
class GgufEntries {
 public:
  GgufEntries() = default;
  /// Null, or an entry whose key is there twice.
  const MetadataEntry* assign(std::vector<MetadataEntry> entries);
  /// Null when absent.
  const MetaValue* find(std::string_view key) const;
  std::vector<std::string> sorted_keys() const;
  const std::vector<MetadataEntry>& entries() const { return entries_; }

 private:
  std::vector<MetadataEntry> entries_;
  std::vector<std::uint32_t> by_key_;  // numbers of entries
};

struct GgufHeader {
  GgufEntries metadata;
  std::vector<TensorInfo> tensors;  ///< offsets from the file's start
  std::vector<UnsupportedTensor> unsupported;
  std::uint64_t hash = 0;  ///< of the bytes before the weights
};

/// Reads and checks the header; afterwards every tensor lies inside the file, without overlap or gap.
/// Errors: bad_file, unsupported (version, byte order, type id), io.
/// Cost: at most 256 MiB of the file are read, and memory stays below 8 times the header and 1 MiB.
Result<GgufHeader> read_gguf_header(const InputFile& file);

}  // namespace moe::inline MOE_ABI::checkpoint

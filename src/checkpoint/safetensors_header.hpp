#pragma once
// One .safetensors file: its JSON header, checked against the file's length.

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in file order, offsets from the file's start
  std::vector<UnsupportedTensor> unsupported;
  std::uint64_t hash = 0;  ///< of the header's bytes
};

/// Afterwards the tensors fill the file's data exactly, without overlap or gap, and each has the bytes its shape asks for.
/// Errors: bad_file, io.
/// Cost: at most 100 MB of the file are read (the format's own limit).
Result<SafetensorsHeader> read_safetensors_header(const InputFile& file);

}  // namespace moe::inline MOE_ABI::checkpoint

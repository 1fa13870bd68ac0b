// Hugging Face directories: config.json and safetensors.

#include <fmt/format.h>

#include "checkpoint/file_checkpoint.hpp"

namespace moe::inline MOE_ABI::checkpoint {

Result<std::unique_ptr<Checkpoint>> open_hf(const std::string& directory) {
  return fail(ErrorCode::unsupported, fmt::format("{}: directories are not read yet", directory));
}

}  // namespace moe::inline MOE_ABI::checkpoint

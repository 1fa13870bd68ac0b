#pragma once
// What GGUF files and Hugging Face directories share: a list of files and of tensors inside them.

#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class FileCheckpoint : public Checkpoint {
 public:
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<void> read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const override;
  std::uint64_t file_bytes() const override;
  std::uint64_t header_hash() const override { return header_hash_; }
  std::vector<Source> sources() const override;

 protected:
  std::vector<InputFile> files_;
  std::vector<TensorInfo> tensors_;
  std::uint64_t header_hash_ = 0;
};

/// The two kinds; `open` chooses between them.
Result<std::unique_ptr<Checkpoint>> open_gguf(InputFile file);
Result<std::unique_ptr<Checkpoint>> open_hf(const std::string& directory, ContentHash hash);

}  // namespace moe::inline MOE_ABI::checkpoint

#pragma once
// Base of GGUF files and Hugging Face directories: a list of files and their tensors.

#include <memory>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/input_file.hpp"
#include "support/fnv1a.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class FileCheckpoint : public Checkpoint {
 public:
  /// `hash` may be null.
  explicit FileCheckpoint(ContentHash hash) : blocks_(hash == nullptr ? nullptr : std::make_shared<BlockCache>(hash)) {}
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<void> read(const TensorInfo& tensor, std::uint64_t offset, std::span<std::byte> out) const override;
  std::uint64_t file_bytes() const override;
  std::uint64_t header_hash() const override { return header_hash_; }
  std::vector<Source> sources() const override;
  std::vector<FileState> file_states() const override;
  void set_digests(const std::vector<std::string>& digests) override;
  void keep_blocks(std::size_t count) const override {
    if (blocks_ != nullptr) blocks_->keep(count);
  }

 protected:
  Result<InputFile> open_file(std::string path) const { return InputFile::open(std::move(path), blocks_); }
  /// To be called once, when all files are there: builds the index and sets the header's hash.
  /// Errors: bad_file when a tensor is in two files.
  Result<void> finish();

  std::shared_ptr<BlockCache> blocks_;  // null without a hash
  std::vector<InputFile> files_;
  std::vector<TensorInfo> tensors_;
  Fnv1a hash_;  // of headers and of the texts that belong to them
  std::uint64_t header_hash_ = 0;
};

/// The two kinds; `open` chooses between them.
Result<std::unique_ptr<Checkpoint>> open_gguf(const std::string& path, ContentHash hash);
Result<std::unique_ptr<Checkpoint>> open_hf(const std::string& directory, ContentHash hash);

}  // namespace moe::inline MOE_ABI::checkpoint

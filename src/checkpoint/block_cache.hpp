#pragma once
// Reads open files in blocks of 4 MiB and hashes each as it is read. Readers get copies of the hashed bytes, so that the
// content hash is of the bytes that were used. Reading the file again would not be safe, because a program that has it
// mapped can change it without changing its times.

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "moe/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

constexpr std::uint64_t kFileBlockBytes = std::uint64_t{4} << 20;

/// Shared by the files of one model. Thread-safe. If another thread is reading a block, waits for it; a block that was
/// evicted is read again and must have its first digest.
class BlockCache {
 public:
  using Bytes = std::shared_ptr<const std::byte[]>;
  /// Fills the buffer with the block's bytes.
  using Read = std::function<Result<void>(std::span<std::byte>)>;

  explicit BlockCache(ContentHash hash) : hash_(hash), spare_(std::make_shared<Spare>()) {}

  void keep(std::size_t count);

  /// The number of another file, for the calls below.
  std::size_t add_file(std::uint64_t size);
  /// Block `index` of the file. Errors: those of `read`; out_of_memory; io, when the bytes are not those of the first
  /// reading.
  Result<Bytes> get(std::size_t file, std::size_t index, const Read& read);
  /// Nothing before the first reading.
  std::optional<ContentDigest> digest(std::size_t file, std::size_t index) const;

 private:
  struct File {
    std::uint64_t size = 0;
    std::vector<std::optional<ContentDigest>> digests;
  };
  struct Kept {
    std::size_t file = 0, index = 0;
    Bytes bytes;  // null while it is read
  };

  /// Buffers of evicted blocks, for reuse: new memory costs as much as reading into it.
  struct Spare {
    std::mutex mutex;
    std::vector<std::unique_ptr<std::byte[]>> buffers;
    std::size_t count = 0;  // that were made, at most
  };

  std::shared_ptr<std::byte[]> take_buffer();
  Result<Bytes> read_and_hash(std::size_t file, std::size_t index, std::size_t size, const Read& read);
  std::vector<Kept>::iterator find(std::size_t file, std::size_t index);
  void make_room(std::size_t count);

  ContentHash hash_;
  std::shared_ptr<Spare> spare_;
  mutable std::mutex mutex_;  // of all below; not held while a file is read
  std::condition_variable was_read_;
  std::size_t limit_ = 2;
  std::vector<File> files_;
  std::vector<Kept> kept_;  // the latest at the end
};

}  // namespace moe::inline MOE_ABI::checkpoint

#pragma once
// A file read with pread: unlike with a mapping, a file that shrinks is an error value and not a signal. A mapping is
// made for those who ask for it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "checkpoint/block_cache.hpp"
#include "moe/error.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class InputFile {
 public:
  /// With `blocks`, everything that is read is hashed, and reading again gives the same bytes or an error.
  /// Errors: not_found, io, bad_file when it is no regular file.
  static Result<InputFile> open(std::string path, std::shared_ptr<BlockCache> blocks = nullptr);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::string& path() const { return path_; }
  /// When it was opened.
  std::uint64_t size() const { return size_; }
  std::int64_t modified_ns() const { return opened_.modified_ns; }
  /// Whether only this user (or root) may have written it: its owner, and no right to write for others.
  bool is_private() const;
  /// What is_private() judges: the owner and the mode.
  std::string access_in_words() const;

  /// Fills `out` from byte `offset`. Thread-safe.
  /// Errors: io, when the file ends early or was changed since it was opened (its size, its times; with blocks also
  /// bytes that differ from those read before).
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) const;

  /// The same past the page cache, where the file system allows it and offset, size and memory are multiples of 4096;
  /// never hashed. Errors: as read().
  Result<void> read_uncached(std::uint64_t offset, std::span<std::byte> out) const;
  /// The first bytes as memory that is read-only and shared by all processes. If the file shrinks later, reading the
  /// memory beyond its end is a signal (SIGBUS). Errors: io.
  Result<std::shared_ptr<const std::byte>> map(std::uint64_t bytes) const;

  /// What the file's digest is known to be: it is then read without being hashed.
  void set_digest(std::string digest) { known_digest_ = std::move(digest); }
  const std::string& known_digest() const { return known_digest_; }

  /// Reads block `index` unless it was read before; for files opened with `blocks`. Errors: as read().
  Result<void> hash_block(std::size_t index) const;
  /// Digest of a block that was read; nothing before that, and without `blocks`.
  std::optional<ContentDigest> digest(std::size_t index) const;

 private:
  /// Identifies a state of the file.
  struct State {
    std::int64_t size = 0, modified_ns = 0, changed_ns = 0;
    std::uint64_t links = 0, mode = 0, user = 0, group = 0;
  };

  static constexpr int kNotOpened = -1, kRefused = -2;

  InputFile() = default;
  Result<State> state() const;
  Result<void> check_unchanged() const;
  Result<void> read_directly(std::uint64_t offset, std::span<std::byte> out) const {
    return read_by(descriptor_, offset, out);
  }
  Result<void> read_by(int descriptor, std::uint64_t offset, std::span<std::byte> out) const;
  int uncached_descriptor() const;
  Result<BlockCache::Bytes> block(std::size_t index) const;

  std::string path_;
  int descriptor_ = -1;
  mutable std::atomic<int> uncached_{kNotOpened};  // the file with O_DIRECT
  std::string known_digest_;
  std::uint64_t size_ = 0;
  State opened_;
  std::shared_ptr<BlockCache> blocks_;
  std::size_t number_ = 0;  // in blocks_
};

}  // namespace moe::inline MOE_ABI::checkpoint

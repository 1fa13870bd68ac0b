#pragma once
// One hash over everything that a model was loaded from: the bytes read from tensor files (block_cache.hpp), and
// texts as they were parsed. Paths are never opened again.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/input_file.hpp"
#include "moe/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// A hashed file: an open one that is read in blocks, or a text with its digest.
struct Source {
  std::string name;  ///< without its folder
  const InputFile* file = nullptr;
  std::string digest = {};  ///< of a text, or of a file whose digest is known: content_digest()
};

/// The digest of one file: over its size and the digests of its blocks of 4 MiB, in hexadecimal.
std::string content_digest(std::string_view content, ContentHash hash);

/// A digest over the sources' digests. With several files, names are included, because they define the role of each; a
/// single file may be renamed.
class ContentHasher {
 public:
  /// Part of an open file. They are read in any order, by any thread.
  struct Block {
    std::size_t source = 0;
    std::uint64_t offset = 0, bytes = 0;
  };

  /// The files must live as long as this, and have been opened with that hash.
  ContentHasher(std::vector<Source> sources, ContentHash hash);

  const std::vector<Block>& blocks() const { return blocks_; }
  /// Reads a block for its digest, unless it was read before. Errors: as InputFile::read().
  Result<void> add(std::size_t block) const;
  /// Of each open file, by number; as content_digest(). Errors: bad_argument, when a block was not read.
  Result<std::vector<std::string>> file_digests() const;
  /// Names and digests of all sources, by name. Errors: as file_digests().
  Result<std::vector<std::pair<std::string, std::string>>> named_digests() const;
  /// 64 hexadecimal digits. Errors: bad_argument, when a block was not read.
  Result<std::string> value() const;

 private:
  std::vector<Source> sources_;
  std::vector<Block> blocks_;  // by source, then by offset
  ContentHash hash_;
};

}  // namespace moe::inline MOE_ABI::checkpoint

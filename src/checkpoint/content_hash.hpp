#pragma once
// One hash over everything that a model was read from: the very bytes that came from files of tensors
// (stretch_cache.hpp), and texts as they were parsed. Never what a path leads to later.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/input_file.hpp"
#include "moe/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// A file that counts: an open one that is read by stretches, or a text that was read and its digest.
struct Source {
  std::string name;  ///< without its folder
  const InputFile* file = nullptr;
  std::string digest = {};  ///< of a text: content_digest()
};

/// Stands for one file's content: the digest of its size and the digests of its stretches of 4 MiB, in hexadecimal.
std::string content_digest(std::string_view content, ContentHash hash);

/// A digest over the sources' digests. Names count where there are several files, as they say what the files are; a
/// single file may be renamed.
class ContentHasher {
 public:
  /// Part of an open file. They are read in any order, by any thread.
  struct Stretch {
    std::size_t source = 0;
    std::uint64_t offset = 0, bytes = 0;
  };

  /// The files must live as long as this, and have been opened with that hash.
  ContentHasher(std::vector<Source> sources, ContentHash hash);

  const std::vector<Stretch>& stretches() const { return stretches_; }
  /// Reads the stretch for its digest, unless somebody has read it. Errors: as InputFile::read().
  Result<void> add(std::size_t stretch) const;
  /// 64 hexadecimal digits. Errors: bad_argument, when a stretch was not read.
  Result<std::string> value() const;

 private:
  std::vector<Source> sources_;
  std::vector<Stretch> stretches_;  // by source, then by offset
  ContentHash hash_;
};

}  // namespace moe::inline MOE_ABI::checkpoint

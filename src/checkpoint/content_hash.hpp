#pragma once
// One hash over everything that a model was read from. Files of tensors are hashed through the descriptors that the
// tensors are read from, texts as they were parsed: never what a path leads to later.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/input_file.hpp"
#include "moe/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// A file that counts: an open one, or a text that was read and its digest.
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
  /// Part of an open file. They are hashed in any order, by any thread.
  struct Stretch {
    std::size_t source = 0;
    std::uint64_t offset = 0, bytes = 0;
  };

  /// The files must live as long as this.
  ContentHasher(std::vector<Source> sources, ContentHash hash);

  const std::vector<Stretch>& stretches() const { return stretches_; }
  /// Errors: io, when the file is no longer what it was when it was opened.
  Result<void> add(std::size_t stretch);
  /// When all were added: 64 hexadecimal digits.
  std::string value() const;

 private:
  std::vector<Source> sources_;
  std::vector<Stretch> stretches_;      // by source, then by offset
  std::vector<ContentDigest> digests_;  // of the stretches
  ContentHash hash_;
};

}  // namespace moe::inline MOE_ABI::checkpoint

#pragma once
// The text files of a model's directory. Reading one again gives the same text or an error, and the content hash covers
// all that were read.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// Size limits by kind of text. A published config.json has under 10 KB.
inline constexpr std::uint64_t kConfigLimit = std::uint64_t{16} << 20;
inline constexpr std::uint64_t kTokenizerLimit = std::uint64_t{256} << 20;

class TextFiles {
 public:
  /// `hash` may be null: then sources() has no digests.
  TextFiles(std::string directory, ContentHash hash) : directory_(std::move(directory)), hash_(hash) {}

  const std::string& directory() const { return directory_; }
  std::string path_of(std::string_view name) const { return directory_ + "/" + std::string(name); }

  /// Errors: as read_text(); io, when it is no longer what it was the first time.
  Result<std::string> read(const std::string& name, std::uint64_t limit) const;
  /// One that may be absent.
  Result<std::optional<std::string>> read_optional(const std::string& name, std::uint64_t limit) const;

  /// Those that were read.
  std::vector<Source> sources() const;

 private:
  std::string digest_of(std::string_view text) const;

  std::string directory_;
  ContentHash hash_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::optional<std::string>> seen_;  // digests; none for what was absent
};

}  // namespace moe::inline MOE_ABI::checkpoint

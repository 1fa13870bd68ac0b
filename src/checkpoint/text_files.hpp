#pragma once
// The text files of a model's directory. Whoever reads one again, for another purpose, gets the same text or an error,
// and the content hash knows all that were read.

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/content_hash.hpp"

namespace moe::inline MOE_ABI::checkpoint {

class TextFiles {
 public:
  explicit TextFiles(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  std::string path_of(std::string_view name) const { return directory_ + "/" + std::string(name); }

  /// Errors: as read_text(); io, when it is no longer what it was the first time.
  Result<std::string> read(const std::string& name, std::uint64_t limit) const;
  /// One that may be absent.
  Result<std::optional<std::string>> read_optional(const std::string& name, std::uint64_t limit) const;

  /// Those that were read.
  std::vector<Source> sources() const;

 private:
  std::string directory_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::optional<std::string>> seen_;  // digests; none for what was absent
};

}  // namespace moe::inline MOE_ABI::checkpoint

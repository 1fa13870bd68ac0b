#pragma once
// Where a model's packed file is, and whose turn it is to make one.

#include <functional>
#include <string>
#include <utility>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::pack {

/// `named` (LoadOptions::pack) itself if it ends in .moepack; else the file for the model at `model` in that folder,
/// which is created if it is missing.
/// Errors: bad_argument (no folder, or a file that the model is read from), io.
Result<std::string> path_of_pack(const std::string& named, const std::string& model);

/// Held by the process that makes a packed file in a folder; others wait, so that n processes that start together make
/// one. Where the file system has no locks, each makes its own: the last one stays.
class FolderLock {
 public:
  /// Errors: io; cancelled.
  static Result<FolderLock> take(const std::string& path, const std::function<bool()>& cancelled);
  FolderLock(FolderLock&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), is_held_(other.is_held_) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

  /// Removes what killed processes left of the packed file at `path`, which is in the folder. Does nothing where the
  /// file system has no locks: a process of another machine might be writing it.
  void remove_dead_parts(const std::string& path) const;

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
  bool is_held_ = false;
};

}  // namespace moe::inline MOE_ABI::pack

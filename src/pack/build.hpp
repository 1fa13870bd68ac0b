#pragma once
// Makes a packed file from a checkpoint, some of its panels in memory at a time.

#include <string>

#include "checkpoint/checkpoint.hpp"
#include "model/load_work.hpp"
#include "pack/layout.hpp"

namespace moe::inline MOE_ABI::pack {

/// With LoadOptions::content_hash all files are hashed while they are read, and `file` knows their digests afterwards.
/// Errors: as load_weights(); io (with the free space if the disk is too full).
Result<void> build(const std::string& path, checkpoint::Checkpoint& file, const LoadPlan& plan, const Layout& layout,
                   LoadWork& work);

}  // namespace moe::inline MOE_ABI::pack

#pragma once
// Names of files that are being written, for a signal handler: a host that exits at once can remove half-written files.
// All files that libmoe writes are registered here, except run stores, which are never half-written.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Returns a slot for note_finished(), or -1 when the table is full; the file is then not removed.
MOE_API int note_unfinished(const std::string& path);
MOE_API void note_finished(int slot);

/// Removes all of them. Safe in a signal handler that calls _exit() next.
MOE_API void remove_unfinished_files() noexcept;

}  // namespace moe::inline MOE_ABI

#pragma once
// Names of files that are being written, where a signal handler can reach them: a program that ends at once leaves no
// half-written files behind.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A number for note_finished(), or -1 when there is no room for the name: then the file is not removed.
int note_unfinished(const std::string& path);
void note_finished(int slot);

/// Removes all of them. May be called in a signal handler, by a program that calls _exit() next.
void remove_unfinished_files() noexcept;

}  // namespace moe::inline MOE_ABI

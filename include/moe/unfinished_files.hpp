#pragma once
// Names of files that are being written, where a signal handler can reach them: a host that ends at once leaves no
// half-written files behind. quantize() and the evaluator's files are noted here by themselves.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A number for note_finished(), or -1 when there is no room for the name: then the file is not removed.
MOE_API int note_unfinished(const std::string& path);
MOE_API void note_finished(int slot);

/// Removes all of them. May be called in a signal handler, by a program that calls _exit() next.
MOE_API void remove_unfinished_files() noexcept;

}  // namespace moe::inline MOE_ABI

#pragma once
// The file of a run store: its tables, its version, and how it is opened.

#include <memory>
#include <string>

#include "eval/store/sqlite.hpp"

namespace moe::inline MOE_ABI::eval {

/// For writing runs. Creates the file if necessary.
/// Errors: io (cannot be made or written, locked), bad_file (damaged, no store, another version).
Result<std::unique_ptr<Database>> open_store(const std::string& path);

/// Read-only: creates and changes no files, so read permission is enough.
/// Errors: not_found, and as above.
Result<std::unique_ptr<Database>> open_store_read_only(const std::string& path);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// moe-bench --disk: how fast a disk is read, without a model.

#include <string>

#include "moe/error.hpp"

namespace moe_bench {

/// Measures `path` (a file, or a folder to write one in) with pieces and threads of several numbers and prints a table;
/// `json`: as of --json. Errors: those of DiskFile, io, bad_argument (`json` is `path`).
moe::Result<void> disk_command(const std::string& path, const std::string& json);

}  // namespace moe_bench

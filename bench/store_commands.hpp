#pragma once
// moe-eval's subcommands over a run store.

#include <memory>
#include <string>
#include <vector>

#include "moe/error.hpp"
#include "moe/eval/store.hpp"

namespace store_commands {

/// Opens and verifies a store for reading: nothing is shown of a damaged one. Errors: those of
/// RunStore::open_read_only and RunStore::verify.
moe::Result<std::unique_ptr<moe::eval::RunStore>> open_whole(const std::string& path);

/// Every run of the store, a line each.
moe::Result<void> history(const std::string& store);

/// The paired gap between two finished runs. A and B are numbers of runs, or names of models: then every task that both
/// have finished, the last run of each.
moe::Result<void> compare(const std::string& store, const std::string& a, const std::string& b);

/// Adds what the stores `from` hold to the store `into`, one after the other. The first one that is refused ends it; if
/// standard output fails, the others are still added.
moe::Result<void> merge(const std::string& into, const std::vector<std::string>& from);

}  // namespace store_commands

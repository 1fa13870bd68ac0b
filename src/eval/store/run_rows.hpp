#pragma once
// Runs as rows of the tables `runs` and `answers`.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/store/rows.hpp"
#include "moe/eval/store.hpp"

namespace moe::inline MOE_ABI::eval {

/// The key of a run: everything but paths and times. It includes the model's name, so one content under two names is
/// two runs, which share their answers.
std::string run_key(const StoredRun& run);

/// `answers`: what replace_answers() returned, or no_answers().
Result<void> write_run(const Database& database, const std::string& key, const StoredRun& run, std::int64_t answers);
StoredRun read_run(const RowReader& row);
std::string key_column(const RowReader& run);
std::int64_t answers_column(const RowReader& run);

/// Checksum over the rows of a run without answers.
std::int64_t no_answers();

/// Replaces the run's answers. Returns the checksum over their rows, for write_run().
Result<std::int64_t> replace_answers(const Database& database, std::int64_t run, std::span<const StoredAnswer> answers);
/// Errors: bad_file when they are not the ones of the checksum `expected`.
Result<std::vector<StoredAnswer>> answers_of(const Database& database, std::int64_t run, std::int64_t expected);

/// Nothing is ever taken out: runs and evaluations are numbered without a gap, and answers belong to a run.
Result<void> check_numbers(const Database& database);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// The CSV folders in which MMLU, CMMLU and C-Eval are published: one file per subject.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

struct CsvRow {
  std::vector<std::string> cells;
  std::int64_t line = 0;  ///< where it begins, from 1
};

/// Reads rows like Python's csv.reader: quotes are doubled, quoted cells may span lines, empty lines are skipped. One
/// at a time, to limit memory: a row of two bytes takes 80.
class MOE_API CsvReader {
 public:
  /// `text` is borrowed.
  explicit CsvReader(std::string_view text);
  /// False after the last row. Errors: bad_file naming the line of a quote that is never closed, or of a row with more
  /// cells than any question has.
  Result<bool> next(CsvRow& row);

 private:
  std::string_view rest_;
  std::int64_t line_ = 1;
};

/// Paths of the .csv files of a folder, sorted. Errors: io; bad_file when there is none.
Result<std::vector<std::string>> csv_files(const std::string& folder);

/// The questions of one CSV file as JSON lines.
struct CsvSubject {
  std::string json;
  std::vector<std::int64_t> lines;  ///< where each began in the file
  std::uint64_t size = 0;           ///< bytes of the file
};

/// <subject>_<split>.csv or <subject>.csv: rows of question, choices and the right answer, or under a header that names
/// question, A, B, ... and answer.
/// Errors: io; cancelled; bad_file naming file and line.
Result<CsvSubject> read_csv_subject(const std::string& file, const std::string& split,
                                    const std::function<bool()>& cancelled);

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// The CSV folders in which MMLU, CMMLU and C-Eval are published: one file per subject.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

struct CsvRow {
  std::vector<std::string> cells;
  std::int64_t line = 0;  ///< where it begins, from 1
};

/// Rows as Python's csv.reader reads them: quotes are doubled, quoted cells may span lines, empty lines are skipped. One
/// at a time: a row of two bytes costs 80.
class MOE_API CsvReader {
 public:
  /// `text` is borrowed.
  explicit CsvReader(std::string_view text);
  /// False behind the last row. Errors: bad_file naming the line of a quote that is never closed, or of a row with more
  /// cells than any question has.
  Result<bool> next(CsvRow& row);

 private:
  std::string_view rest_;
  std::int64_t line_ = 1;
};

/// A line of a question file, and where it stood.
struct QuestionLine {
  std::string json, file;
  std::int64_t line = 0;
};

/// The questions of FOLDER/<subject>_<folder's name>.csv (or <subject>.csv), sorted by subject: rows of question,
/// choices and the right letter, or under a header that names question, A, B, ... and answer.
/// Errors: io; bad_file naming file and line.
MOE_API Result<std::vector<QuestionLine>> read_csv_folder(const std::string& folder);

}  // namespace moe::inline MOE_ABI::eval

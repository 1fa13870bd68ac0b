// Reads the published table: untrusted, checked field by field.

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <set>

#include "eval/report/ai_index.hpp"
#include "eval/tasks/csv.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

constexpr std::size_t kMostRows = 1000, kMostCell = 200;
constexpr double kMostBillions = 1e6, kMostGflops = 1e6;

constexpr const char* kColumns[] = {
    "model", "org",      "country", "release", "kind",   "total_b",  "active_b_published", "gflops_per_token",
    "mmlu",  "protocol", "source",  "note",    "status", "reference"};
enum Column : std::size_t {
  kModel,
  kOrg,
  kCountry,
  kRelease,
  kKind,
  kTotal,
  kActive,
  kGflops,
  kMmlu,
  kProtocol,
  kSource,
  kNote,
  kStatus,
  kReference
};

constexpr const char* kCountries[] = {"AE", "CA", "CN", "DE", "FR", "GB", "IL", "IN", "JP", "KR", "SG", "US"};
constexpr Kind kKinds[] = {Kind::base, Kind::chat, Kind::instruct, Kind::reasoning};
constexpr Status kStatuses[] = {Status::on_disk, Status::secondary, Status::recalled};

std::string one_of(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "one of " : ", ") + name;
  return out;
}

// One row; the first problem is kept.
class RowReader {
 public:
  explicit RowReader(const std::vector<std::string>& cells) : cells_(cells) {}

  const std::string& problem() const { return problem_; }

  std::string text(Column column, bool may_be_empty = false) {
    const std::string& cell = cells_[column];
    if ((cell.empty() && !may_be_empty) || cell.size() > kMostCell)
      expected(column, fmt::format("{} to {} bytes of text", may_be_empty ? 0 : 1, kMostCell));
    return cell;
  }
  std::string country() {
    for (const char* known : kCountries)
      if (cells_[kCountry] == known) return known;
    expected(kCountry, one_of({std::begin(kCountries), std::end(kCountries)}));
    return {};
  }
  // "2024-12".
  std::string release() {
    const std::string& cell = cells_[kRelease];
    int year = 0, month = 0;
    const char* const data = cell.data();
    const bool is_date = cell.size() == 7 && cell[4] == '-' && std::from_chars(data, data + 4, year).ptr == data + 4 &&
                         std::from_chars(data + 5, data + 7, month).ptr == data + 7;
    if (!is_date || year < 2000 || year > 2100 || month < 1 || month > 12) {
      expected(kRelease, "a month as 2024-12");
      return "0000-00";
    }
    return cell;
  }
  template <class Enum, std::size_t N>
  Enum name(Column column, const Enum (&known)[N]) {
    std::vector<std::string> names;
    for (const Enum one : known) {
      names.emplace_back(name_of(one));
      if (cells_[column] == names.back()) return one;
    }
    expected(column, one_of(names));
    return known[0];
  }
  /// Empty where the cell is.
  std::optional<double> positive(Column column, double most) {
    if (cells_[column].empty()) return std::nullopt;
    const double value = number(column);
    if (!(value > 0 && value <= most)) expected(column, fmt::format("a number above 0, at most {}, or nothing", most));
    return value;
  }
  double share() {
    const double value = number(kMmlu);
    if (!(value >= 0 && value <= 100)) expected(kMmlu, "a number from 0 to 100");
    return value / 100;
  }
  void expected(Column column, const std::string& what) {
    if (problem_.empty())
      problem_ = fmt::format("{} is {}, expected {}", kColumns[column],
                             cells_[column].empty() ? "empty" : in_quotes(cells_[column]), what);
  }

 private:
  double number(Column column) const {
    const std::string& cell = cells_[column];
    double value = std::nan("");
    const auto read = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    return read.ec == std::errc{} && read.ptr == cell.data() + cell.size() ? value : std::nan("");
  }

  const std::vector<std::string>& cells_;
  std::string problem_;
};

// The problem with the header; empty if there is none.
std::string header_problem(const std::vector<std::string>& cells) {
  if (cells.size() != std::size(kColumns))
    return fmt::format("the header has {} columns, expected {}, from {} to {}", cells.size(), std::size(kColumns),
                       kColumns[0], kColumns[std::size(kColumns) - 1]);
  for (std::size_t i = 0; i < cells.size(); ++i)
    if (cells[i] != kColumns[i])
      return fmt::format("column {} is {}, expected {}", i + 1, in_quotes(cells[i]), kColumns[i]);
  return {};
}

Row read_row(RowReader& reader) {
  Row row;
  row.model = reader.text(kModel);
  row.org = reader.text(kOrg);
  row.country = reader.country();
  row.release = reader.release();
  row.kind = reader.name(kKind, kKinds);
  row.total_b = reader.positive(kTotal, kMostBillions);
  row.active_b = reader.positive(kActive, kMostBillions);
  row.gflops_per_token = reader.positive(kGflops, kMostGflops);
  row.accuracy = reader.share();
  row.protocol = reader.text(kProtocol);
  row.source = reader.text(kSource);
  row.note = reader.text(kNote, true);
  row.status = reader.name(kStatus, kStatuses);
  row.reference = reader.text(kReference, true);
  if (row.total_b.has_value() != row.active_b.has_value())
    reader.expected(row.total_b ? kActive : kTotal, "both sizes, or neither where they are not public");
  if (row.gflops_per_token && !row.total_b) reader.expected(kGflops, "nothing where the size is not public");
  if (row.total_b && row.active_b && *row.active_b > *row.total_b)
    reader.expected(kActive, fmt::format("at most total_b, {}", *row.total_b));
  if (!row.reference.empty() && !row.gflops_per_token) reader.expected(kGflops, "a number: the row is of a reference");
  return row;
}

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::base: return "base";
    case Kind::chat: return "chat";
    case Kind::instruct: return "instruct";
    case Kind::reasoning: return "reasoning";
  }
  return "";
}

const char* name_of(Status status) {
  switch (status) {
    case Status::on_disk: return "on_disk";
    case Status::secondary: return "secondary";
    case Status::recalled: return "recalled";
  }
  return "";
}

Result<std::vector<Row>> read_rows(const RunText& csv) {
  const std::string file = printable(csv.name);
  const auto bad = [&](std::int64_t line, const std::string& problem) {
    return fail(ErrorCode::bad_file, fmt::format("{}:{}: {}", file, line, problem));
  };
  CsvReader reader(csv.text);
  CsvRow cells;
  bool has_header = false;
  std::vector<Row> rows;
  std::set<std::string> models;
  std::string reference;
  for (;;) {
    const auto more = reader.next(cells);
    if (!more) return fail(more.error().code, fmt::format("{}:{}", file, more.error().message));
    if (!*more) break;
    if (!has_header) {
      if (const std::string problem = header_problem(cells.cells); !problem.empty()) return bad(cells.line, problem);
      has_header = true;
      continue;
    }
    const std::string name = in_quotes(cells.cells[kModel]);
    if (cells.cells.size() != std::size(kColumns))
      return bad(cells.line,
                 fmt::format("{} has {} columns, expected {}", name, cells.cells.size(), std::size(kColumns)));
    if (rows.size() == kMostRows)
      return bad(cells.line, fmt::format("{} is row {}, expected at most {} rows", name, kMostRows + 1, kMostRows));
    RowReader row_reader(cells.cells);
    Row row = read_row(row_reader);
    if (row_reader.problem().empty() && !models.insert(row.model).second)
      row_reader.expected(kModel, "a name of its own: an earlier row has it");
    if (reference.empty()) reference = row.reference;
    if (!row.reference.empty() && row.reference != reference)
      row_reader.expected(kReference, "one family in all rows, " + in_quotes(reference));
    if (!row_reader.problem().empty()) return bad(cells.line, fmt::format("{}: {}", name, row_reader.problem()));
    rows.push_back(std::move(row));
  }
  if (rows.empty())
    return fail(ErrorCode::bad_file, fmt::format("{}: holds no rows, expected a header and one or more", file));
  return rows;
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

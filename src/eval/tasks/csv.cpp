#include "eval/tasks/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "eval/score/text.hpp"
#include "eval/tasks/question.hpp"
#include "support/json_text.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::uint64_t kFileBytes = std::uint64_t{64} << 20;  // of one subject
constexpr std::size_t kMostCells = 64;

// Which cell holds what.
struct Columns {
  std::size_t question = 0, answer = 0, count = 0;
  std::vector<std::size_t> choices;
};

// A header names its columns; the files of MMLU have none: question, choices, answer.
std::optional<Columns> header_of(const std::vector<std::string>& cells) {
  Columns out;
  out.count = cells.size();
  bool has_question = false, has_answer = false;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string name = lowercase(strip(cells[i]));
    if (name == "question") out.question = i, has_question = true;
    if (name == "answer") out.answer = i, has_answer = true;
    if (name == std::string(1, static_cast<char>('a' + out.choices.size()))) out.choices.push_back(i);
  }
  if (!has_question || !has_answer || out.choices.size() < 2) return std::nullopt;
  return out;
}

Columns plain_columns(std::size_t count) {
  Columns out;
  out.count = count, out.answer = count - 1;
  for (std::size_t i = 1; i + 1 < count; ++i) out.choices.push_back(i);
  return out;
}

// The problem with the row; empty if there is none.
std::string row_to_json(const CsvRow& row, const Columns& columns, nlohmann::ordered_json& out) {
  if (row.cells.size() != columns.count)
    return fmt::format("has {} columns, expected {}: question, {} choices, answer", row.cells.size(), columns.count,
                       columns.choices.size());
  for (const std::string& cell : row.cells)
    if (!is_valid_utf8(cell)) return "is not UTF-8";
  out["question"] = row.cells[columns.question];
  for (std::size_t c : columns.choices) out["choices"].push_back(row.cells[c]);
  // The format requires a letter; anything else is checked by the question's own rule.
  const std::string_view answer = strip(row.cells[columns.answer]);
  if (const auto index = index_of_letter(answer); index && *index < columns.choices.size())
    out["answer"] = *index;
  else
    out["answer"] = answer;
  return {};
}

}  // namespace

CsvReader::CsvReader(std::string_view text) : rest_(text) {
  if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
}

Result<bool> CsvReader::next(CsvRow& row) {
  row = {};
  std::string cell;
  bool quoted = false, any = false;  // any: the row has something, be it an empty quoted cell
  std::size_t i = 0;
  for (bool ended = false; i < rest_.size() && !ended; ++i) {
    const char c = rest_[i];
    if (!any && c != '\n' && c != '\r') row.line = line_, any = true;
    line_ += c == '\n';
    if (quoted) {
      if (c != '"')
        cell += c;
      else if (i + 1 < rest_.size() && rest_[i + 1] == '"')
        cell += rest_[++i];
      else
        quoted = false;
    } else if (c == '"' && cell.empty()) {
      quoted = true;
    } else if (c == ',') {
      row.cells.push_back(std::exchange(cell, {}));
      if (row.cells.size() >= kMostCells)
        return fail(ErrorCode::bad_file, fmt::format("{}: more than {} columns", row.line, kMostCells));
    } else if (c == '\n' || c == '\r') {
      ended = any;
    } else {
      cell += c;
    }
  }
  if (quoted) return fail(ErrorCode::bad_file, fmt::format("{}: a quote is never closed", row.line));
  rest_.remove_prefix(i);
  if (any) row.cells.push_back(std::move(cell));
  return any;
}

Result<std::vector<std::string>> csv_files(const std::string& folder) {
  std::error_code failed;
  std::vector<std::string> files;
  std::filesystem::directory_iterator it(folder, failed), end;
  for (; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".csv") files.push_back(it->path().string());
  if (failed) return fail(ErrorCode::io, fmt::format("cannot list {}: {}", folder, failed.message()));
  if (files.empty()) return fail(ErrorCode::bad_file, fmt::format("{} holds no .csv file", folder));
  std::sort(files.begin(), files.end());
  return files;
}

Result<CsvSubject> read_csv_subject(const std::string& file, const std::string& split,
                                    const std::function<bool()>& cancelled) {
  const auto text = read_text(file, kFileBytes);
  if (!text) return forward(text);
  const auto bad = [&](std::int64_t line, const std::string& problem) {
    return fail(ErrorCode::bad_file, fmt::format("{}:{}: {}", file, line, problem));
  };
  CsvReader reader(*text);
  CsvRow row;
  std::optional<Columns> columns;
  std::string subject = std::filesystem::path(file).stem().string();
  if (subject.ends_with("_" + split)) subject.resize(subject.size() - split.size() - 1);
  CsvSubject out;
  out.size = text->size();
  for (;;) {
    const auto more = reader.next(row);
    if (!more) return fail(more.error().code, fmt::format("{}:{}", file, more.error().message));
    if (!*more) return out;
    if (!columns) {
      columns = header_of(row.cells);
      if (columns) continue;
      if (row.cells.size() < 4)
        return bad(row.line,
                   fmt::format("{} columns, expected question, two choices or more, answer", row.cells.size()));
      columns = plain_columns(row.cells.size());
    }
    const std::size_t number = out.lines.size();
    if (auto ok = check_question_count(number, out.size); !ok)
      return fail(ok.error().code, fmt::format("{} {}", file, ok.error().message));
    if (number % 64 == 0 && cancelled && cancelled())
      return fail(ErrorCode::cancelled, fmt::format("interrupted while {} was read", file));
    nlohmann::ordered_json json = {{"id", fmt::format("{}/{}/{}", subject, split, number)}, {"subject", subject}};
    if (const std::string problem = row_to_json(row, *columns, json); !problem.empty())
      return bad(row.line, "the question " + problem);
    out.json += json_text(json) + '\n';
    out.lines.push_back(row.line);
  }
}

}  // namespace moe::inline MOE_ABI::eval

// A document on a terminal.

#include "eval/report/document.hpp"
#include "eval/report/verdict.hpp"
#include "support/show.hpp"
#include "support/text_table.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

bool is_words(const Table& table) {
  for (const Column& column : table.columns)
    if (column.is_number) return false;
  return true;
}

TextTable text_table(const Table& table, bool with_extras) {
  const auto is_shown = [&](std::size_t c) { return with_extras || !table.columns[c].is_extra; };
  std::vector<std::string> header;
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (is_shown(c)) header.push_back(table.columns[c].title);
  TextTable out(header, is_words(table) ? TextTable::Align::words : TextTable::Align::numbers);
  for (const auto& cells : table.rows) {
    std::vector<std::string> row;
    for (std::size_t c = 0; c < cells.size() && c < table.columns.size(); ++c)
      if (is_shown(c)) row.push_back(cells[c].text);
    out.add(row);
  }
  return out;
}

std::string block_lines(const Block& b, const TableOptions& options) {
  const auto paragraph = [&](const std::string& text) { return wrapped(printable(text), options.columns); };
  switch (b.kind) {
    case Block::Kind::heading: return "\n" + wrapped(inked(printable(b.text), Ink::bold, options), options.columns);
    case Block::Kind::text:
    case Block::Kind::small:
    case Block::Kind::lead: return paragraph(b.text);
    case Block::Kind::table: return plain_table(b.table, options);
    case Block::Kind::list: break;
    default: return {};
  }
  std::string out;
  for (const std::string& item : b.items) out += paragraph(item);
  return out;
}

}  // namespace

std::string plain_table(const Table& table, const TableOptions& options) {
  if (table.is_extra && !options.verbose) return {};
  TextTable whole = text_table(table, true);
  if (whole.width() > options.columns) whole = text_table(table, false);
  return "\n" + wrapped(printable(table.caption), options.columns) + whole.render(options.columns);
}

std::string plain_report(const ReportDocument& document, const TableOptions& options) {
  std::string out = wrapped(inked(printable(document.title), Ink::bold, options), options.columns) +
                    wrapped(printable(document.subtitle), options.columns) + "\n";
  for (const Block& b : document.blocks) out += block_lines(b, options);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

// The report as Markdown, for a pull request or a notebook.

#include <fmt/format.h>

#include <algorithm>

#include "eval/report/document.hpp"
#include "eval/report/forms.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string table_text(const Table& t) {
  std::string out = "**" + markdown_escaped(t.caption) + "**\n\n|", line = "|";
  for (const Column& c : t.columns) {
    out += " " + markdown_escaped(c.title) + " |";
    line += c.is_number ? " ---: |" : " :--- |";
  }
  out += "\n" + line + "\n";
  for (const auto& row : t.rows) {
    out += "|";
    for (const Cell& c : row) out += " " + markdown_escaped(c.text) + " |";
    out += "\n";
  }
  return out + "\n";
}

// A fence longer than any run of backticks inside.
std::string code(const std::string& text) {
  std::size_t longest = 2, run = 0;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  return fmt::format("{0}\n{1}\n{0}\n\n", fence, printable(text));
}

std::string block_text(const Block& b) {
  switch (b.kind) {
    case Block::Kind::heading:
      return std::string(static_cast<std::size_t>(b.level), '#') + " " + markdown_escaped(b.text) + "\n\n";
    case Block::Kind::text:
    case Block::Kind::small: return markdown_escaped(b.text) + "\n\n";
    case Block::Kind::lead: return "**" + markdown_escaped(b.text) + "**\n\n";
    case Block::Kind::code: return code(b.text);
    case Block::Kind::table: return table_text(b.table);
    case Block::Kind::fold: return "#### " + markdown_escaped(b.text) + "\n\n";
    case Block::Kind::picture:
    case Block::Kind::fold_end:
    case Block::Kind::legend: return {};
    case Block::Kind::list: break;
  }
  std::string out;
  for (const std::string& item : b.items) out += "* " + markdown_escaped(item) + "\n";
  return out + "\n";
}

}  // namespace

std::string markdown_report(const ReportDocument& document) {
  std::string out = "# " + markdown_escaped(document.title) + "\n\n" + markdown_escaped(document.subtitle) + "\n\n";
  for (const Block& b : document.blocks) out += block_text(b);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

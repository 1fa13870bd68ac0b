#include "support/text_table.hpp"

#include <algorithm>
#include <utility>

#include "support/show.hpp"

namespace moe::inline MOE_ABI {

namespace {
constexpr std::size_t kNameColumns = 60;
constexpr std::size_t kLeastColumns = 4;  // what shortened() needs
}

std::string shown_name(std::string_view name) { return shortened(name, kNameColumns); }

TextTable::TextTable(std::vector<std::string> header, Align align) : align_(align) { add(std::move(header)); }

void TextTable::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = shortened(cell, 2 * kNameColumns + 20);
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> TextTable::widths() const {
  std::vector<std::size_t> out(rows_[0].size(), 0);
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) out[c] = std::max(out[c], display_width(row[c]));
  return out;
}

std::size_t TextTable::width() const {
  std::size_t total = 0;
  for (const std::size_t w : widths()) total += w + 2;
  return total - 2;
}

std::string TextTable::render(std::size_t columns) const {
  const std::size_t count = rows_[0].size();
  std::vector<std::size_t> width = widths();
  if (this->width() <= columns) return render_part(1, count, width);
  std::size_t widest = 0;  // each other column must fit beside the first
  for (std::size_t c = 1; c < count; ++c) widest = std::max(widest, width[c] + 2);
  const std::size_t room = std::min(columns / 2, columns - std::min(columns, widest));
  width[0] = std::min(width[0], std::max(room, kLeastColumns));
  std::string out;
  for (std::size_t from = 1, to = from; from < count || out.empty(); from = to) {
    std::size_t used = width[0];
    for (to = from; to < count && (to == from || used + 2 + width[to] <= columns); ++to) used += 2 + width[to];
    out += (out.empty() ? "" : "\n") + render_part(from, to, width);
  }
  return out;
}

// The first column, and those of [from, to).
std::string TextTable::render_part(std::size_t from, std::size_t to, const std::vector<std::size_t>& width) const {
  std::size_t total = width[0];
  for (std::size_t c = from; c < to; ++c) total += width[c] + 2;
  std::string out;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    const std::string name = shortened(rows_[r][0], std::max(width[0], kLeastColumns));
    std::string line = name + std::string(width[0] - std::min(width[0], display_width(name)), ' ');
    for (std::size_t c = from; c < std::min(to, rows_[r].size()); ++c) {
      const std::string fill(width[c] - display_width(rows_[r][c]), ' ');
      line += "  " + (align_ == Align::words ? rows_[r][c] + fill : fill + rows_[r][c]);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    if (r == 0 && align_ == Align::numbers) out += std::string(total, '-') + "\n";
  }
  return out;
}

namespace {

// Colours (ESC [ ... m) take no columns.
std::size_t shown_width(std::string_view word) {
  std::string plain;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\x1b')
      i = std::min(word.find('m', i), word.size());
    else
      plain += word[i];
  }
  return display_width(plain);
}

}  // namespace

std::string wrapped(std::string_view text, std::size_t columns) {
  std::string out, line;
  const std::string indent = "  ";
  std::size_t width = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    std::string word(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    std::size_t needed = shown_width(word);
    if (needed > columns - indent.size() && needed == display_width(word))
      word = shortened(word, columns - indent.size()), needed = display_width(word);
    if (!line.empty() && line != indent && width + 1 + needed > columns) {
      out += line + "\n";
      line = indent, width = indent.size();
    }
    if (!line.empty() && line != indent) line += ' ', ++width;
    line += word, width += needed;
  }
  return out + line + "\n";
}

}  // namespace moe::inline MOE_ABI

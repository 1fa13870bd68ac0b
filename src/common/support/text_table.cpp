#include "support/text_table.hpp"

#include <algorithm>
#include <utility>

#include "support/show.hpp"

namespace moe::inline MOE_ABI {

namespace {
constexpr std::size_t kNameColumns = 60;
}

std::string shown_name(std::string_view name) { return shortened(name, kNameColumns); }

TextTable::TextTable(std::vector<std::string> header, Align align) : align_(align) { add(std::move(header)); }

void TextTable::add(std::vector<std::string> row) {
  for (std::string& cell : row) cell = shortened(cell, 2 * kNameColumns + 20);
  rows_.push_back(std::move(row));
}

std::string TextTable::render() const {
  std::vector<std::size_t> width(rows_[0].size(), 0);
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], display_width(row[c]));
  std::string out;
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < rows_[r].size(); ++c) {
      const std::string fill(width[c] - display_width(rows_[r][c]), ' ');
      if (c > 0) line += "  ";
      line += c == 0 || align_ == Align::words ? rows_[r][c] + fill : fill + rows_[r][c];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    if (r == 0 && align_ == Align::numbers) {
      std::size_t total = 0;
      for (std::size_t w : width) total += w + 2;
      out += std::string(total - 2, '-') + "\n";
    }
  }
  return out;
}

}  // namespace moe::inline MOE_ABI

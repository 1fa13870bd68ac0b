#pragma once
// Tables for terminals; all names in tables pass through here.

#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A name in a table or a line: printable, at most 60 columns.
std::string shown_name(std::string_view name);

/// Words in lines of at most `columns`, the second and later ones indented by two. A word that is longer is cut
/// in the middle; `columns` is at least 8. The text is printable except for colours (ESC [ ... m); it ends in a
/// newline.
std::string wrapped(std::string_view text, std::size_t columns);

/// Columns as wide as their widest cell. Cells are shown by support/show.hpp: on one line, nothing that moves the
/// cursor, cut in the middle where they are longer than two names.
class TextTable {
 public:
  enum class Align {
    numbers,  ///< the first column to the left, the others to the right; a line under the header
    words,    ///< all to the left
  };
  explicit TextTable(std::vector<std::string> header, Align align = Align::numbers);
  void add(std::vector<std::string> row);
  /// Each line ends in a newline and in no space. In a table wider than `columns`, the first column is cut to at
  /// most half the width, and remaining columns follow below, with the first one repeated.
  std::string render(std::size_t columns = kUnbounded) const;
  /// Columns of the whole table.
  std::size_t width() const;
  static constexpr std::size_t kUnbounded = ~std::size_t{0};

 private:
  std::vector<std::size_t> widths() const;
  std::string render_part(std::size_t from, std::size_t to, const std::vector<std::size_t>& width) const;

  std::vector<std::vector<std::string>> rows_;
  Align align_;
};

}  // namespace moe::inline MOE_ABI

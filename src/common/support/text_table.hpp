#pragma once
// A table for terminals: the gate of every name that stands in one.

#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// A name in a table or a line: printable, at most 60 columns.
std::string shown_name(std::string_view name);

/// Columns as wide as their widest cell. Cells are shown by support/show.hpp: on one line, nothing that moves the cursor,
/// cut in the middle where they are longer than two names.
class TextTable {
 public:
  enum class Align {
    numbers,  ///< the first column to the left, the others to the right; a line under the header
    words,    ///< all to the left
  };
  explicit TextTable(std::vector<std::string> header, Align align = Align::numbers);
  void add(std::vector<std::string> row);
  /// Each line ends in a newline and in no space.
  std::string render() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  Align align_;
};

}  // namespace moe::inline MOE_ABI

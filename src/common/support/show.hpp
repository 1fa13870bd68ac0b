#pragma once
// Foreign text on its way out: what files and command lines said, made fit for a terminal, an error or a file name.
// JSON has its own gate, support/json_text.hpp.

#include <cstddef>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// `text` on one line that moves no cursor and reorders nothing: control characters, line separators, bidirectional
/// marks and other invisible format characters become \xNN (\uNNNN above one byte), as do bytes that are no UTF-8.
/// U+200B to U+200D stay: they belong to words and emoji.
std::string printable(std::string_view text);
/// The same, but line feeds and tabs stay: text that may have lines of its own.
std::string printable_lines(std::string_view text);

/// Columns that printable text takes on a terminal: 2 for wide characters, 0 for combining ones.
std::size_t display_width(std::string_view text);
/// printable(text) in at most `columns` (4 or more); what is cut out of the middle is "...": names differ at both ends.
std::string shortened(std::string_view text, std::size_t columns);

/// For an error message: printable(text) in single quotes, a quote inside as \x27, cut to about 80 columns ("..." says
/// so).
std::string in_quotes(std::string_view text);

/// A name for one file or folder that is legal on every system and not "." or "..": at most 160 bytes, so that there is
/// room for a prefix and a suffix. A text that is such a name stays as it is; any other gets a hash of itself at the end,
/// so that it keeps its name from run to run. Two texts can meet in one name only by design or by chance: compare.
std::string file_name_of(std::string_view text);

}  // namespace moe::inline MOE_ABI

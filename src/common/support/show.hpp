#pragma once
// Output of text from outside (files, command lines): made safe for terminals, error messages and file names. For JSON
// see support/json_text.hpp.

#include <cstddef>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// `text` on one line, without effects on the terminal: control characters, line separators, bidirectional
/// marks and other invisible format characters become \xNN (\uNNNN above one byte), as does invalid UTF-8.
/// U+200B to U+200D stay: they are part of words and emoji.
std::string printable(std::string_view text);
/// The same, except that line feeds and tabs stay: for text of several lines.
std::string printable_lines(std::string_view text);

/// Columns that printable text takes on a terminal: 2 for wide characters, 0 for combining ones.
std::size_t display_width(std::string_view text);
/// printable(text) in at most `columns` (4 or more); "..." replaces the middle, because names differ at both ends.
std::string shortened(std::string_view text, std::size_t columns);

/// For an error message: printable(text) in single quotes, a quote inside as \x27, cut to about 80 columns ("..." says
/// so).
std::string in_quotes(std::string_view text);

/// A name for one file or folder that is legal on every system and not "." or "..": at most 160 bytes, so that there is
/// room for a prefix and a suffix. A text that is such a name stays as it is; any other gets a hash of itself at the
/// end, so that it gets the same name in every run. Two texts may still get the same name (by attack or chance):
/// compare.
std::string file_name_of(std::string_view text);

}  // namespace moe::inline MOE_ABI

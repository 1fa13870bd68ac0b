#pragma once
// Rewrites gnuplot's SVG for a page: keeps only shapes and text, with the colours of the page's theme.

#include <span>
#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// Grey n of 255 in a script ("#0c0c0c" is 12) becomes the colour --c<n> of the page's style sheet.
inline constexpr int kMostColour = 40;
std::string colour_of(int number);

/// Rewrites `svg` element by element; what is on no list (scripts, links, styles, images, events) is an error, and ids,
/// definitions and fonts are dropped. "@3@" in a text becomes labels[3], escaped: no foreign text ever reaches gnuplot.
/// `title` is the alternative text.
/// Errors: bad_file.
Result<std::string> page_picture(const std::string& svg, const std::string& title, std::span<const std::string> labels);

}  // namespace moe::inline MOE_ABI::eval

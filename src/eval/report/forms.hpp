#pragma once
// Formats of numbers and escaping of text in reports.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// "87.91" of 0.8791.
std::string percent_form(double share);
/// "N/A" where there is none.
std::string percent_form(const std::optional<double>& share);
/// "+10.38" of 0.1038, with a true minus sign.
std::string points_form(double share);
/// Four significant digits without an exponent where that stays short: "0.02019", "66.33", "18,160".
std::string significant_form(double value);
/// FLOPs in units of 10^9, as significant_form() has them.
std::string gflops_form(double flops);
/// Three significant digits with a unit of 1000: "1.69M".
std::string scaled_form(double value);
/// "14,042".
std::string count_form(std::int64_t value);
/// "0.0010", "6e-25".
std::string p_form(double p);
/// "1.2 to 5.6", "1.2 or more", "5.6 or less"; "-" without both ends.
std::string ends_form(const std::optional<double>& low, const std::optional<double>& high);
/// Full precision: reads back as the same number.
std::string exact_form(double value);

/// Text from outside in HTML, as content or within a quoted attribute. Control characters and marks that turn the
/// direction of text become visible (support/show.hpp).
std::string html_escaped(std::string_view text);
/// Text from outside in Markdown, also in tables: on one line, with its markup escaped.
std::string markdown_escaped(std::string_view text);
/// Foreign text as a field of CSV: quoted where it must be; what a spreadsheet would take for a formula begins with '.
std::string csv_escaped(std::string_view text);

}  // namespace moe::inline MOE_ABI::eval

#include "tools/common/memory_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "support/number.hpp"
#include "support/show.hpp"

namespace cli {
namespace {

constexpr std::string_view kUnits = "KMGT";

}  // namespace

moe::Result<std::int64_t> parse_bytes(std::string_view text) {
  std::string_view digits = text;
  if (digits.ends_with("iB")) digits.remove_suffix(2);
  int power = 0;
  if (!digits.empty() && kUnits.find(digits.back()) != std::string_view::npos) {
    power = static_cast<int>(kUnits.find(digits.back())) + 1;
    digits.remove_suffix(1);
  }
  const bool has_bare_suffix = power == 0 && digits.size() != text.size();
  const std::int64_t unit = std::int64_t{1} << (10 * power);
  const auto number = moe::parse_number<std::int64_t>("a size", digits, {1, (std::int64_t{1} << 60) / unit});
  if (!number || has_bare_suffix)
    return moe::fail(moe::ErrorCode::bad_argument,
                     fmt::format("{} is no size, expected a number with K, M, G or T, as in 8G", moe::in_quotes(text)));
  return *number * unit;
}

std::string time_in_words(double seconds) {
  if (!std::isfinite(seconds)) return "an unlimited time";
  if (seconds < 10.0) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::min(std::round(seconds), 1e15));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

CLI::Option* add_memory(CLI::App& app, std::int64_t& bytes) {
  const auto read = [&bytes](const std::string& text) {
    const auto parsed = parse_bytes(text);
    if (!parsed) throw CLI::ValidationError("--memory", parsed.error().message);
    bytes = *parsed;
  };
  return app
      .add_option_function<std::string>("--memory", read,
                                        "all memory that the program may take, as in 8G; experts that do not fit are "
                                        "read when needed (default: 80 % of what is free, or of a container's limit, "
                                        "divided by the processes that mpirun or srun started on this machine)")
      ->type_name("SIZE");
}

}  // namespace cli

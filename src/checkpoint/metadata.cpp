#include "checkpoint/metadata.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

tl::unexpected<Error> absent(std::string_view key) {
  return fail(ErrorCode::not_found, fmt::format("metadata {} is missing", in_quotes(key)));
}
tl::unexpected<Error> wrong(std::string_view key, const MetaValue& found, std::string_view expected) {
  return fail(ErrorCode::bad_file,
              fmt::format("metadata {} is {}, expected {}", in_quotes(key), describe(found), expected));
}

std::optional<std::int64_t> as_integer(const MetaValue& value) {
  if (const auto* i = std::get_if<std::int64_t>(&value)) return *i;
  if (const auto* u = std::get_if<std::uint64_t>(&value))
    if (*u <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return static_cast<std::int64_t>(*u);
  return {};
}

struct Describe {
  std::string operator()(std::int64_t v) const { return fmt::format("the integer {}", v); }
  std::string operator()(std::uint64_t v) const { return fmt::format("the integer {}", v); }
  std::string operator()(double v) const { return fmt::format("the number {}", v); }
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(const std::string& v) const { return "the string " + in_quotes(v); }
  std::string operator()(const std::vector<std::int64_t>& v) const { return array(v.size(), "integers"); }
  std::string operator()(const std::vector<double>& v) const { return array(v.size(), "numbers"); }
  std::string operator()(const std::vector<bool>& v) const { return array(v.size(), "booleans"); }
  std::string operator()(const std::vector<std::string>& v) const { return array(v.size(), "strings"); }
  static std::string array(std::size_t n, const char* of) { return fmt::format("an array of {} {}", n, of); }
};

}  // namespace

std::string describe(const MetaValue& value) { return std::visit(Describe{}, value); }

Result<std::int64_t> meta_int(const Checkpoint& file, std::string_view key, std::int64_t min, std::int64_t max) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return absent(key);
  const auto i = as_integer(*value);
  if (!i || *i < min || *i > max) return wrong(key, *value, fmt::format("an integer in [{}, {}]", min, max));
  return *i;
}

Result<bool> meta_bool_or(const Checkpoint& file, std::string_view key, bool fallback) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return fallback;
  const auto* b = std::get_if<bool>(value);
  if (b == nullptr) return wrong(key, *value, "true or false");
  return *b;
}

Result<std::string> meta_string(const Checkpoint& file, std::string_view key) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return absent(key);
  const auto* s = std::get_if<std::string>(value);
  if (s == nullptr) return wrong(key, *value, "a string");
  return *s;
}

Result<std::string> meta_string_or(const Checkpoint& file, std::string_view key, std::string_view fallback) {
  if (file.meta(key) == nullptr) return std::string(fallback);
  return meta_string(file, key);
}

}  // namespace moe::inline MOE_ABI::checkpoint

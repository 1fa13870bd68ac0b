#pragma once
// Typed, range-checked access to config.json. The first error sticks, so that a family reads all its fields and asks once.

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::arch {

class JsonConfig {
 public:
  /// NaN and Infinity, which Python writes, are read, and refused where the number is asked for.
  /// Errors: bad_file when the text is no JSON object.
  static Result<JsonConfig> parse(std::string_view text);

  bool has(std::string_view key) const;  ///< present and not null
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  std::int64_t integer_or(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max) const;
  double number(std::string_view key) const;
  double number_or(std::string_view key, double fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string_view fallback) const;
  std::vector<std::int64_t> integers_or_empty(std::string_view key) const;
  std::vector<std::string> strings_or_empty(std::string_view key) const;
  /// An integer, or a list with one entry per layer that are all the same.
  std::int64_t uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  bool is_false(std::string_view key) const;  ///< the JSON value false: how some files say "none" of a number
  /// The object at `key`, or an empty one.
  JsonConfig object(std::string_view key) const;
  /// architectures[0], or empty.
  std::string architecture() const;

  /// Records a contradiction that the caller found.
  void refuse(ErrorCode code, std::string message) const;
  Result<void> status() const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  nlohmann::json json_ = nlohmann::json::object();
  std::string prefix_;  // "rope_scaling." inside that object
  std::shared_ptr<std::optional<Error>> first_error_ = std::make_shared<std::optional<Error>>();
};

}  // namespace moe::inline MOE_ABI::arch

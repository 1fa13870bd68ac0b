#pragma once
// Typed access to members of an untrusted JSON file. The first problem is kept, so callers need no checks in between.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/json.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval::read {

inline constexpr double kMostNumber = std::numeric_limits<double>::max();
inline constexpr std::int64_t kMostCount = std::numeric_limits<std::int64_t>::max();

/// A value and its path: "models[2].tasks[0]".
struct Place {
  JsonValue value;
  std::string at;
};

class MemberReader {
 public:
  explicit MemberReader(std::string file) : file_(std::move(file)) {}

  bool failed() const { return !problem_.empty(); }
  Error error() const { return {ErrorCode::bad_file, fmt::format("{}: {}", file_, problem_)}; }

  static std::string name_of(const Place& place, std::string_view key) {
    return place.at.empty() ? std::string(key) : fmt::format("{}.{}", place.at, key);
  }
  void expected(const std::string& at, const std::optional<JsonValue>& found, const std::string& what) {
    if (!failed())
      problem_ =
          fmt::format("{} is {}, expected {}", printable(at), found ? in_quotes(found->in_ascii(60)) : "missing", what);
  }
  void twice(const std::string& at, const std::string& name) {
    if (!failed())
      problem_ = fmt::format("{} is {}, which was there before, expected a name of its own", at, in_quotes(name));
  }

  std::string text(const Place& place, std::string_view key) {
    const auto found = place.value.find(key);
    if (found && found->is_string()) return std::string(found->text());
    expected(name_of(place, key), found, "text");
    return {};
  }
  /// Empty where it is absent or null.
  std::string optional_text(const Place& place, std::string_view key) {
    const auto found = place.value.find(key);
    return !found || found->is_null() ? std::string() : text(place, key);
  }
  double number(const Place& place, std::string_view key, double least, double most) {
    const auto found = place.value.find(key);
    const double value = found && found->is_number() ? found->get<double>() : std::nan("");
    if (value >= least && value <= most) return value;
    expected(name_of(place, key), found, range(least, most));
    return 0;
  }
  std::optional<double> optional_number(const Place& place, std::string_view key, double least, double most) {
    const auto found = place.value.find(key);
    if (!found || found->is_null()) return std::nullopt;
    return number(place, key, least, most);
  }
  std::int64_t count(const Place& place, std::string_view key, std::int64_t least = 0) {
    const auto found = place.value.find(key);
    const auto value = whole(found);
    if (value && *value >= least) return *value;
    expected(name_of(place, key), found, fmt::format("a whole number from {} on", least));
    return least;
  }
  std::optional<std::int64_t> optional_count(const Place& place, std::string_view key) {
    const auto found = place.value.find(key);
    if (!found || found->is_null()) return std::nullopt;
    return count(place, key);
  }
  bool flag(const Place& place, std::string_view key) {
    const auto found = place.value.find(key);
    if (found && found->is_boolean()) return found->get<bool>();
    expected(name_of(place, key), found, "true or false");
    return false;
  }
  /// Elements of a list; an absent one is empty unless it is `required`.
  std::vector<Place> list(const Place& place, std::string_view key, std::size_t most, bool required = true) {
    const auto found = place.value.find(key);
    if (!found && !required) return {};
    return elements(found, name_of(place, key), most);
  }
  std::vector<Place> objects(const Place& place, std::string_view key, std::size_t most) {
    return as_objects(list(place, key, most));
  }
  /// Of a place that is a list itself.
  std::vector<Place> objects(const Place& place, std::size_t most) {
    return as_objects(elements(place.value, place.at, most));
  }
  std::vector<std::string> texts(const Place& place, std::string_view key, std::size_t most, bool required = true) {
    std::vector<std::string> out;
    for (const Place& element : list(place, key, most, required)) {
      if (!element.value.is_string()) expected(element.at, element.value, "text");
      out.emplace_back(element.value.text());
    }
    return out;
  }
  /// The pairs of an object of at most `most` members.
  std::vector<std::pair<std::string, Place>> members(const Place& place, std::string_view key, std::size_t most,
                                                     bool required = true) {
    const auto found = place.value.find(key);
    const std::string at = name_of(place, key);
    std::vector<std::pair<std::string, Place>> out;
    if (!found && !required) return out;
    if (!found || !found->is_object() || found->size() > most) {
      expected(at, found, fmt::format("an object of at most {} members", most));
      return out;
    }
    for (const auto& [name, value] : found->items())
      out.push_back({std::string(name), {value, name_of({value, at}, name)}});
    return out;
  }

  static std::optional<std::int64_t> whole(const std::optional<JsonValue>& found) {
    if (!found || !found->is_number_integer()) return std::nullopt;
    const auto value = found->get<std::int64_t>();
    if (value < 0 && found->is_number_unsigned()) return std::nullopt;  // above 2^63 - 1
    return value;
  }

 private:
  std::vector<Place> elements(const std::optional<JsonValue>& found, const std::string& at, std::size_t most) {
    std::vector<Place> out;
    if (!found || !found->is_array() || found->size() > most)
      expected(at, found, fmt::format("a list of at most {} elements", most));
    else
      for (const JsonValue element : *found) out.push_back({element, fmt::format("{}[{}]", at, out.size())});
    return out;
  }
  std::vector<Place> as_objects(std::vector<Place> places) {
    for (const Place& place : places)
      if (!place.value.is_object()) expected(place.at, place.value, "an object");
    return places;
  }
  static std::string range(double least, double most) {
    if (most == kMostNumber) return least == -kMostNumber ? "a number" : fmt::format("a number from {} on", least);
    return fmt::format("a number from {} to {}", least, most);
  }

  std::string file_, problem_;
};

}  // namespace moe::inline MOE_ABI::eval::read

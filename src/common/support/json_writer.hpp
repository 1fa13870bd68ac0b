#pragma once
// JSON text, written one value at a time. It can handle a failed allocation anywhere, unlike a tree of nlohmann's,
// whose destructor allocates (3.11.2) and ends the process if that fails.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/json_text.hpp"

namespace moe::inline MOE_ABI {

class JsonWriter {
 public:
  /// JSON cannot represent numbers that are not finite; JsonDocument reads Python's notation.
  enum class NotFinite { null, words };
  explicit JsonWriter(NotFinite not_finite = NotFinite::null) : not_finite_(not_finite) {}

  JsonWriter& open(std::string_view key, char bracket) {
    name(key);
    return begin(bracket);
  }
  JsonWriter& begin(char bracket) {
    separate();
    text_ += bracket;
    is_first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    text_ += bracket;
    is_first_ = false;
    return *this;
  }
  template <class T>
  JsonWriter& add(std::string_view key, const T& v) {
    name(key);
    return value(v);
  }
  template <class T>
  JsonWriter& value(const T& v) {
    separate();
    if constexpr (std::is_convertible_v<T, std::string_view>)
      text_ += json_text(nlohmann::json(std::string_view(v)));
    else if constexpr (std::is_floating_point_v<T>)
      text_ += std::isfinite(v) || not_finite_ == NotFinite::null ? json_text(nlohmann::json(v))
               : std::isnan(v)                                    ? "NaN"
               : v > 0                                            ? "Infinity"
                                                                  : "-Infinity";
    else
      text_ += json_text(nlohmann::json(v));
    return *this;
  }
  template <class T>
  JsonWriter& value(const std::vector<T>& list) {
    begin('[');
    for (const auto& item : list) value<T>(item);
    return close(']');
  }
  std::string take() { return std::move(text_); }

 private:
  void name(std::string_view key) {
    value(key);
    text_ += ':';
    is_first_ = true;
  }
  void separate() {
    if (!is_first_) text_ += ',';
    is_first_ = false;
  }

  NotFinite not_finite_;
  std::string text_;
  bool is_first_ = true;
};

}  // namespace moe::inline MOE_ABI

#pragma once
// JSON from outside: one reader with limits on size, depth and memory that refuses duplicate keys.
//
// A document is flat: 9 bytes per value, the strings, and 4 bytes per key of large objects. So text and document
// together need less than 8 times the text for any input, and building or destroying a document does not recurse.
// nlohmann::json, which writes our own files, does not guarantee that: an empty list takes 48 bytes, a member of an
// object 96, and its lexer copies a refused token nearly ten times. It also does not read NaN and Infinity, which
// Python writes.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Deeper than any file of a model or an exam needs. It bounds every recursion over a document.
inline constexpr std::size_t kJsonDepthLimit = 64;
/// Readers of files ask for less.
inline constexpr std::size_t kJsonByteLimit = std::size_t{1} << 30;

/// The nodes of a document: values in text order, a container before its contents, a key before its value.
struct JsonTree {
  enum class Kind : std::uint8_t {
    null,
    no,
    yes,
    integer,     ///< below 0
    whole,       ///< 0 or more, up to 2^64 - 1
    real,        ///< finite
    not_finite,  ///< NaN, Infinity, -Infinity: accepted, but not a number for readers
    string,
    array,
    object
  };
  std::deque<Kind> kinds;
  /// Numbers: their bits. Strings: offset << 32 | length in `texts`. Containers: index after the last value << 32 |
  /// number of elements, or for an object the index of its entry in `sorted` plus 1, or 0 where it has few keys.
  std::deque<std::uint64_t> payloads;
  /// Per object of many keys: their number, then the keys' indices in the order of their texts.
  std::deque<std::uint32_t> sorted;
  std::string texts;
};

/// A value of a document, which must outlive it. Members are named as in nlohmann::json.
class JsonValue {
 public:
  using Kind = JsonTree::Kind;
  JsonValue(const JsonTree& tree, std::uint32_t index) : tree_(&tree), index_(index) {}

  bool is_null() const { return kind() == Kind::null; }
  bool is_boolean() const { return kind() == Kind::no || kind() == Kind::yes; }
  bool is_number_integer() const { return kind() == Kind::integer || kind() == Kind::whole; }
  bool is_number_unsigned() const { return kind() == Kind::whole; }
  bool is_number() const { return is_number_integer() || kind() == Kind::real; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_array() const { return kind() == Kind::array; }
  bool is_object() const { return kind() == Kind::object; }
  Kind kind() const { return tree_->kinds[index_]; }
  /// "null", "boolean", "number", "string", "array" or "object".
  const char* type_name() const;

  /// bool, an integer, double, std::string or std::string_view; false, 0 or "" for another type. Integers are not made
  /// from a real number.
  template <class T>
  T get() const {
    if constexpr (std::is_same_v<T, bool>)
      return kind() == Kind::yes;
    else if constexpr (std::is_arithmetic_v<T>)
      return number<T>();
    else
      return T(text());
  }
  /// A number that is not an integer, including NaN and infinities.
  double real() const;
  /// A string; valid as long as the document.
  std::string_view text() const;

  /// Elements of a list, members of an object. O(size) for objects.
  std::size_t size() const;
  bool empty() const { return size() == 0; }

  /// A member of an object; nothing when it is absent or this is no object. O(log size).
  std::optional<JsonValue> find(std::string_view key) const;
  bool contains(std::string_view key) const { return find(key).has_value(); }

  /// The first element of a list that is not empty.
  JsonValue front() const { return {*tree_, index_ + 1}; }

  class Iterator;
  /// Over the elements of a list; nothing of anything else.
  Iterator begin() const;
  Iterator end() const;
  class Members;
  /// Over the (key, value) pairs of an object, in the order of the text; nothing of anything else.
  Members items() const;

  /// The value as JSON in ASCII, for messages: cut after `most` bytes ("..." marks this).
  std::string in_ascii(std::size_t most = std::string::npos) const;

  /// Equality: 1 equals 1.0, the order of members does not matter, NaN equals nothing.
  friend bool operator==(JsonValue a, JsonValue b);

 private:
  friend class JsonDocument;
  std::uint64_t payload() const { return tree_->payloads[index_]; }
  template <class T>
  T number() const {
    if (kind() == Kind::whole) return static_cast<T>(payload());
    if (kind() == Kind::integer) return static_cast<T>(static_cast<std::int64_t>(payload()));
    if constexpr (std::is_floating_point_v<T>)
      if (kind() == Kind::real) return static_cast<T>(real());
    return T{};
  }
  /// The index after this value and its contents.
  std::uint32_t next() const {
    return is_array() || is_object() ? static_cast<std::uint32_t>(payload() >> 32) : index_ + 1;
  }
  std::optional<JsonValue> find_sorted(std::uint32_t entry, std::string_view key) const;
  void write(std::string& out, std::size_t most) const;

  const JsonTree* tree_;
  std::uint32_t index_;
};

class JsonValue::Iterator {
 public:
  explicit Iterator(JsonValue at) : at_(at) {}
  JsonValue operator*() const { return at_; }
  Iterator& operator++() {
    at_.index_ = at_.next();
    return *this;
  }
  bool operator!=(const Iterator& other) const { return at_.index_ != other.at_.index_; }

 private:
  JsonValue at_;
};

class JsonValue::Members {
 public:
  class Iterator {
   public:
    explicit Iterator(JsonValue key) : key_(key) {}
    std::pair<std::string_view, JsonValue> operator*() const { return {key_.text(), value()}; }
    Iterator& operator++() {
      key_.index_ = value().next();
      return *this;
    }
    bool operator!=(const Iterator& other) const { return key_.index_ != other.key_.index_; }

   private:
    JsonValue value() const { return {*key_.tree_, key_.index_ + 1}; }
    JsonValue key_;
  };
  Members(JsonValue first, JsonValue last) : first_(first), last_(last) {}
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(last_); }

 private:
  JsonValue first_, last_;
};

/// A whole text, read and checked. Copies share it.
class JsonDocument {
 public:
  /// Strict JSON in UTF-8 and the three words NaN, Infinity and -Infinity; a byte order mark at the start is passed
  /// over.
  /// Errors: bad_file. The message begins with a verb ("is no valid JSON at byte 7"): the caller puts the name of the
  /// text before it.
  static Result<JsonDocument> parse(std::string_view text);
  /// {}
  JsonDocument();

  JsonValue root() const { return {*tree_, 0}; }
  /// Keys count as well.
  std::size_t value_count() const { return tree_->kinds.size(); }

 private:
  explicit JsonDocument(std::shared_ptr<const JsonTree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const JsonTree> tree_;
};

/// The same of a text whose top level must be an object. `what` names the file in messages.
Result<JsonDocument> parse_json_object(std::string_view text, std::string_view what);

}  // namespace moe::inline MOE_ABI

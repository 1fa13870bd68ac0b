#pragma once
// Typed, range-checked access to config.json. The first error is kept, so a family reads all fields and checks once.
//
// An absent key has the default of the family's class in transformers (arch/defaults.hpp). Null differs from absent: if
// the class allows it, it means "none" or "derived"; otherwise it is an error. Every key that is read is recorded, so
// that the others can be reported (arch/unread_keys.hpp).

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "arch/unread_keys.hpp"
#include "moe/error.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::arch {

struct ClassDefaults;

class JsonConfig {
 public:
  /// Accepts NaN and Infinity, which Python writes; they are refused when the number is read.
  /// Errors: bad_file when the text is no JSON object.
  static Result<JsonConfig> parse(std::string_view text);
  /// Sets the values of absent keys; `defaults` must outlive this object.
  void use(const ClassDefaults& defaults) { defaults_ = &defaults; }

  bool has(std::string_view key) const;      ///< not null, in the file or by default
  bool in_file(std::string_view key) const;  ///< the file has it, possibly null
  bool knows(std::string_view key) const;    ///< the family's class has such a key
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;  ///< null is false
  // `null` is the value for null, and for absent keys without a default.
  std::int64_t integer_or(std::string_view key, std::int64_t null, std::int64_t min, std::int64_t max) const;
  double number_or(std::string_view key, double null) const;
  bool boolean_or(std::string_view key, bool null) const;
  std::string string_or(std::string_view key, std::string_view null) const;
  std::vector<std::int64_t> integers_or_empty(std::string_view key) const;
  std::vector<double> numbers_or_empty(std::string_view key) const;
  std::vector<std::string> strings_or_empty(std::string_view key) const;
  /// An integer, or a list with one entry per layer that are all the same.
  std::int64_t uniform_integer(std::string_view key, std::int64_t min, std::int64_t max) const;
  bool is_false(std::string_view key) const;  ///< the JSON value false, which some files write for no number
  /// The object at `key`, or an empty one.
  JsonConfig object(std::string_view key) const;
  bool empty() const { return json_.empty(); }
  JsonValue value() const { return json_; }
  /// architectures[0], or empty.
  std::string architecture() const;

  /// "rope_scaling.factor" inside that object: for messages.
  std::string path(std::string_view key) const { return prefix_ + std::string(key); }
  /// Records a contradiction that the caller found.
  void refuse(ErrorCode code, std::string message) const;
  /// A note for the user that is not an error.
  void note(std::string text) const;
  Result<void> status() const;

  const std::vector<std::string>& notes() const { return shared_->notes; }
  /// Integers missing in the file, in reading order; their defaults may not fit its tensors.
  const std::vector<std::string>& assumed() const { return shared_->assumed; }
  /// Keys of the file that were not read; of objects that were read, their unread keys.
  std::vector<UnreadKey> unread() const;

 private:
  struct Shared {
    std::optional<Error> first_error;
    std::set<std::string, std::less<>> read;  // paths
    std::vector<std::string> notes, assumed;
  };
  /// At most 4096 elements for which fits(element).
  template <class T, class Fits>
  std::vector<T> list_or_empty(std::string_view key, const char* expected, Fits&& fits) const;
  std::optional<JsonValue> find(std::string_view key) const;
  std::optional<JsonValue> find_in_file(std::string_view key) const;
  /// The path of the key with the name used in the file.
  std::string shown_path(std::string_view key) const;
  std::vector<std::string_view> names_of(std::string_view key) const;
  std::optional<JsonValue> default_of(std::string_view key) const;

  JsonDocument document_;  // of the whole file, also for nested objects
  JsonValue json_ = document_.root();
  std::string prefix_;  // "rope_scaling." inside that object
  const ClassDefaults* defaults_ = nullptr;
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Typed, range-checked access to "<architecture>.<key>" metadata of a GGUF file; the first error is kept, as in
// JsonConfig.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "arch/unread_keys.hpp"
#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::arch {

class GgufConfig {
 public:
  GgufConfig(const checkpoint::Checkpoint& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {}

  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// A per-layer array is accepted if all its elements are equal.
  std::int64_t integer(std::string_view key, std::int64_t min, std::int64_t max);
  std::int64_t integer_or(std::string_view key, std::int64_t fallback, std::int64_t min, std::int64_t max);
  /// An array of integers or booleans; empty when the key is absent or holds a single value.
  std::vector<std::int64_t> list_or_empty(std::string_view key);
  double number(std::string_view key);
  double number_or(std::string_view key, double fallback);
  bool boolean_or(std::string_view key, bool fallback);
  std::string string_or(std::string_view key, std::string_view fallback);
  void refuse(ErrorCode code, std::string message);
  Result<void> status() const;
  /// A note for the user that is not an error.
  void note(std::string text) { notes_.push_back(std::move(text)); }
  const std::vector<std::string>& notes() const { return notes_; }
  const checkpoint::Checkpoint& file() const { return file_; }
  /// Keys of this architecture that were not read, without its name.
  std::vector<UnreadKey> unread() const;

 private:
  const checkpoint::MetaValue* find(std::string_view key) const;
  void wrong(std::string_view key, std::string_view found, std::string_view expected);
  const checkpoint::Checkpoint& file_;
  std::string prefix_;
  std::optional<Error> first_error_;
  std::vector<std::string> notes_;
  mutable std::set<std::string, std::less<>> read_;
};

}  // namespace moe::inline MOE_ABI::arch

#pragma once
// Members of a task file's objects, with their types and bounds.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/eval/task.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::eval {

/// Limit for lists that are processed for each question. Elements take more memory than their text, so lists must be
/// limited.
inline constexpr std::size_t kMostItems = 64;

std::optional<std::int64_t> whole_number(JsonValue value, std::int64_t least, std::int64_t most);

/// Reads typed members; keeps the first problem, so that callers need no checks in between. Absent members leave `out`
/// unchanged.
class TaskReader {
 public:
  explicit TaskReader(std::string file) : file_(std::move(file)) {}

  bool failed() const { return !problem_.empty(); }
  Error error() const;
  void problem(std::string text);

  void text(JsonValue object, const char* key, std::string& out, bool required = false);
  void count(JsonValue object, const char* key, std::int64_t& out, std::int64_t least = 1);
  void flag(JsonValue object, const char* key, bool& out);
  void texts(JsonValue object, const char* key, std::vector<std::string>& out, std::size_t most = kMostItems);
  /// A column for each metric named, for each filter of the task.
  void metrics(JsonValue object, const char* key, const TaskSpec& task, std::vector<MetricColumn>& out);

  /// Refuses other keys than these; `where` begins the message.
  void only(JsonValue object, const std::vector<std::string_view>& keys, std::string_view where);
  /// Whether `count` things fit.
  bool fits(std::string_view what, std::size_t count, std::size_t most);
  void different(const char* key, const std::vector<std::string>& items);
  void checked_template(const char* key, const std::string& source);

 private:
  std::string file_, problem_;
};

}  // namespace moe::inline MOE_ABI::eval

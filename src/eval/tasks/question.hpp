#pragma once
// Fields of a question.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/eval/task.hpp"
#include "support/json.hpp"

namespace moe::inline MOE_ABI::eval {

/// The fields of a question, read from its line. The question must outlive them.
class MOE_API QuestionFields {
 public:
  /// Errors: bad_file when Question::json is no object.
  static Result<QuestionFields> read(const Question& question);

  const Question& question() const { return *question_; }
  /// A field that is a text, a number or true/false.
  std::optional<std::string> text(std::string_view field) const;
  /// Texts of "choices"; none where that is no list of texts.
  const std::vector<std::string_view>& choices() const { return choices_; }

 private:
  QuestionFields(const Question& question, JsonDocument document);

  const Question* question_;
  JsonDocument document_;
  std::vector<std::string_view> choices_;
};

/// The index that "B" or "b" names.
std::optional<std::size_t> index_of_letter(std::string_view text);

/// Errors: bad_file when `count` questions are too many for `bytes` bytes of text, because each takes more than 100
/// bytes of memory.
Result<void> check_question_count(std::size_t count, std::uint64_t bytes);

}  // namespace moe::inline MOE_ABI::eval

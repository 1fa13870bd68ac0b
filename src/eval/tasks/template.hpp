#pragma once
// The placeholder language of task files: {field}, {choices[2]}, {field|filter|filter}, {{ and }}.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/tasks/question.hpp"
#include "moe/eval/task.hpp"

namespace moe::inline MOE_ABI::eval {

class MOE_API Template {
 public:
  /// Errors: bad_file naming the placeholder (no closing brace, unknown filter, a bad index).
  static Result<Template> parse(std::string_view text);

  /// `choice` indexes question.choices() for {choice} and {label}; -1 where there is none.
  /// Errors: bad_file naming the field that the question lacks.
  Result<std::string> render(const TaskSpec& task, const QuestionFields& question, std::int64_t choice) const;

  bool uses(std::string_view field) const;

 private:
  enum class Filter { strip, spaces, title, head, unbracket };
  struct Part {
    std::string text;  // literal text, or the field's name
    bool is_field = false;
    std::optional<std::size_t> index;
    std::vector<Filter> filters;
  };
  static Result<Part> parse_placeholder(std::string_view inside);
  Result<std::string> value(const Part& part, const TaskSpec& task, const QuestionFields& question,
                            std::int64_t choice) const;

  std::vector<Part> parts_;
};

}  // namespace moe::inline MOE_ABI::eval

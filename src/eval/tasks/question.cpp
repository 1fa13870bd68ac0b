// One question: its line is checked when it is read, and parsed again when its fields are needed.

#include "eval/tasks/question.hpp"

#include <fmt/format.h>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {

QuestionFields::QuestionFields(const Question& question, JsonDocument document)
    : question_(&question), document_(std::move(document)) {
  const auto choices = document_.root().find("choices");
  if (!choices || !choices->is_array()) return;
  choices_.reserve(choices->size());
  for (const JsonValue choice : *choices) {
    if (!choice.is_string()) {
      choices_.clear();
      break;
    }
    choices_.push_back(choice.text());
  }
}

Result<QuestionFields> QuestionFields::read(const Question& question) {
  auto document = JsonDocument::parse(question.json);
  if (document && document->root().is_object()) return QuestionFields(question, std::move(*document));
  return fail(ErrorCode::bad_file, fmt::format("question {} {}", in_quotes(question.id),
                                               document ? "is no JSON object" : document.error().message));
}

std::optional<std::string> QuestionFields::text(std::string_view field) const {
  const auto value = document_.root().find(field);
  if (value && value->is_string()) return std::string(value->text());
  if (value && (value->is_number() || value->is_boolean())) return value->in_ascii();
  return std::nullopt;
}

}  // namespace moe::inline MOE_ABI::eval

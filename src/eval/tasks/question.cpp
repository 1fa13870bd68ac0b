// Question files: JSON lines or CSV folders, checked one by one so that an error names file and line.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "eval/file.hpp"
#include "eval/score/text.hpp"
#include "eval/tasks/csv.hpp"
#include "moe/eval/task.hpp"
#include "support/json_text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Json = nlohmann::json;

// What is wrong with a multiple-choice line; empty when nothing is.
std::string read_choices(const Json& line, Question& q) {
  const auto choices = line.find("choices");
  if (choices == line.end()) return "has no \"choices\"";
  if (!choices->is_array() || choices->size() < 2)
    return fmt::format("\"choices\" is {}, expected a list of at least two texts",
                       choices->is_array() ? fmt::format("a list of {}", choices->size()) : choices->type_name());
  for (const Json& choice : *choices) {
    if (!choice.is_string())
      return fmt::format("choice {} is {}, expected text", q.choices.size() + 1, choice.type_name());
    if (strip(*choice.get_ptr<const std::string*>()).empty())
      return fmt::format("choice {} is empty", q.choices.size() + 1);
    q.choices.push_back(*choice.get_ptr<const std::string*>());
  }
  const auto answer = line.find("answer");
  if (answer == line.end() || answer->is_null()) return "has no \"answer\"";
  const bool in_range = answer->is_number_integer() && *answer >= 0 && *answer < q.choices.size();
  if (!in_range)
    return fmt::format("\"answer\" is {}, expected a number from 0 to {}", in_quotes(json_text(*answer)),
                       q.choices.size() - 1);
  q.answer = answer->get<std::int64_t>();
  return {};
}

std::string read_line(const std::string& text, TaskKind kind, Question& q) {
  const Json line = Json::parse(text, nullptr, false);
  if (!line.is_object()) return "is not a JSON object";
  for (const auto& [key, value] : line.items()) {
    if (value.is_string()) q.text.emplace(key, *value.get_ptr<const std::string*>());
    if (value.is_number() || value.is_boolean()) q.text.emplace(key, json_text(value));
  }
  if (const auto id = q.text.find("id"); id != q.text.end()) q.id = id->second;
  if (const auto split = q.text.find("split"); split != q.text.end()) {
    q.is_example = split->second == "dev" || split->second == "train" || split->second == "fewshot";
    if (!q.is_example && split->second != "test" && split->second != "validation")
      return fmt::format("\"split\" is {}, expected test or validation (asked), dev, train or fewshot (examples)",
                         in_quotes(split->second));
  }
  if (const auto subject = q.text.find("subject"); subject != q.text.end()) q.subject = subject->second;
  // A task that wants a written answer may ask a question with choices.
  const bool has_choices = kind == TaskKind::generation && line.contains("choices");
  return kind == TaskKind::multiple_choice || has_choices ? read_choices(line, q) : std::string{};
}

// The lines of a .jsonl file that are not empty.
Result<std::vector<QuestionLine>> read_lines(const std::string& path) {
  const auto content = read_text_file(path);
  if (!content) return forward(content);
  std::vector<QuestionLine> lines;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < content->size();) {
    const std::size_t end = std::min(content->find('\n', begin), content->size());
    ++number;
    std::string text = content->substr(begin, end - begin);
    begin = end + 1;
    if (!strip(text).empty()) lines.push_back({std::move(text), path, number});
  }
  return lines;
}

}  // namespace

Result<std::vector<Question>> load_questions(const std::string& path, TaskKind kind) {
  std::error_code ignored;
  auto lines = std::filesystem::is_directory(path, ignored) ? read_csv_folder(path) : read_lines(path);
  if (!lines) return forward(lines);
  std::vector<Question> questions;
  std::unordered_map<std::string, std::int64_t> line_of_id;
  for (QuestionLine& line : *lines) {
    Question q;
    q.json = std::move(line.json);
    q.line = line.line;
    q.id = fmt::format("line {}", q.line);
    std::string problem = read_line(q.json, kind, q);
    if (problem.empty())
      if (const auto [before, is_new] = line_of_id.emplace(q.id, q.line); !is_new)
        problem = fmt::format("has the id of line {}", before->second);
    if (!problem.empty())
      return fail(ErrorCode::bad_file,
                  fmt::format("{}:{}: question {} {}", line.file, q.line, in_quotes(q.id), problem));
    questions.push_back(std::move(q));
  }
  if (questions.empty()) return fail(ErrorCode::bad_file, fmt::format("{} holds no question", path));
  return questions;
}

}  // namespace moe::inline MOE_ABI::eval

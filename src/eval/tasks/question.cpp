// Question files: JSON lines or CSV folders, checked one by one so that an error names file and line.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <optional>
#include <unordered_map>

#include "eval/score/text.hpp"
#include "eval/tasks/csv.hpp"
#include "moe/eval/task.hpp"
#include "support/json.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::uint64_t kQuestionBytes = std::uint64_t{512} << 20;
constexpr std::size_t kMostValues = 1 << 20;  // of one question: results repeat it in a form that is 20 times as large

// The index that a number or a text names: 1, 1.0, "1", or the letter "B" or "b".
std::optional<std::size_t> named_index(JsonValue answer) {
  if (answer.is_string()) {
    const std::string_view text = strip(answer.text());
    std::size_t index = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), index);
    if (!text.empty() && read.ec == std::errc{} && read.ptr == text.data() + text.size()) return index;
    if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z') return static_cast<std::size_t>(text[0] - 'A');
    if (text.size() == 1 && text[0] >= 'a' && text[0] <= 'z') return static_cast<std::size_t>(text[0] - 'a');
    return std::nullopt;
  }
  const auto number = answer.get<double>();
  const bool is_index = answer.is_number() && number >= 0 && number < 1e6 && number == std::floor(number);
  return is_index ? std::optional(static_cast<std::size_t>(number)) : std::nullopt;
}

// What is wrong with an "answer"; empty when nothing is.
std::string read_answer(JsonValue answer, Question& q) {
  const auto index = named_index(answer);
  const std::string found = answer.is_string() ? in_quotes(answer.text()) : in_quotes(answer.in_ascii(80));
  if (!index || *index >= q.choices.size()) {
    const std::size_t letters = std::min<std::size_t>(q.choices.size(), 26);
    return fmt::format("\"answer\" is {}, expected a number from 0 to {} or a letter from A to {}", found,
                       q.choices.size() - 1, static_cast<char>('A' + letters - 1));
  }
  // A text may also be meant as the choice itself: ["B", "A"] with "A".
  const auto is_meant = [&](const std::string& choice) {
    return answer.is_string() && strip(choice) == strip(answer.text());
  };
  const auto other = std::find_if(q.choices.begin(), q.choices.end(), is_meant);
  if (other != q.choices.end() && !is_meant(q.choices[*index]))
    return fmt::format("\"answer\" is {}, which names choice {} and is the text of choice {}: expected its number",
                       found, *index + 1, other - q.choices.begin() + 1);
  q.answer = static_cast<std::int64_t>(*index);
  return {};
}

// What is wrong with a multiple-choice line; empty when nothing is.
std::string read_choices(JsonValue line, Question& q) {
  const auto choices = line.find("choices");
  if (!choices) return "has no \"choices\"";
  if (!choices->is_array() || choices->size() < 2)
    return fmt::format("\"choices\" is {}, expected a list of at least two texts",
                       choices->is_array() ? fmt::format("a list of {}", choices->size()) : choices->type_name());
  for (const JsonValue choice : *choices) {
    if (!choice.is_string())
      return fmt::format("choice {} is {}, expected text", q.choices.size() + 1, choice.type_name());
    if (strip(choice.text()).empty()) return fmt::format("choice {} is empty", q.choices.size() + 1);
    q.choices.emplace_back(choice.text());
  }
  const auto answer = line.find("answer");
  if (!answer || answer->is_null()) return "has no \"answer\"";
  return read_answer(*answer, q);
}

std::string read_line(const std::string& text, TaskKind kind, Question& q) {
  const auto document = JsonDocument::parse(text);
  if (!document) return document.error().message;
  const JsonValue line = document->root();
  if (!line.is_object()) return fmt::format("is a JSON {}, expected an object", line.type_name());
  if (document->value_count() > kMostValues)
    return fmt::format("has {} values, expected at most {}", document->value_count(), kMostValues);
  for (const auto& [key, value] : line.items()) {
    if (value.is_string()) q.text.emplace(key, value.text());
    if (value.is_number() || value.is_boolean()) q.text.emplace(key, value.in_ascii());
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
Result<std::vector<QuestionLine>> read_lines(const std::string& path, const std::function<bool()>& cancelled) {
  const auto content = read_text(path, {kQuestionBytes, Streams::allowed, cancelled});
  if (!content) return forward(content);
  std::vector<QuestionLine> lines;
  const std::string file = path == "-" ? "standard input" : path;
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < content->size();) {
    const std::size_t end = std::min(content->find('\n', begin), content->size());
    ++number;
    std::string text = content->substr(begin, end - begin);
    begin = end + 1;
    if (!strip(text).empty()) lines.push_back({std::move(text), file, number});
  }
  return lines;
}

}  // namespace

Result<std::vector<Question>> load_questions(const std::string& path, TaskKind kind,
                                             const std::function<bool()>& cancelled) {
  std::error_code ignored;
  const bool is_folder = path != "-" && std::filesystem::is_directory(path, ignored);
  auto lines = is_folder ? read_csv_folder(path) : read_lines(path, cancelled);
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

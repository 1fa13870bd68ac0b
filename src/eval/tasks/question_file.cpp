// Question files: JSON lines or CSV folders, checked one by one so that an error names file and line.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "eval/score/text.hpp"
#include "eval/tasks/csv.hpp"
#include "eval/tasks/question.hpp"
#include "support/show.hpp"
#include "support/text_file.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::uint64_t kQuestionBytes = std::uint64_t{512} << 20;
constexpr std::size_t kMostValues = 1 << 16;  // of one question: it is 20 times as large in results
constexpr std::size_t kMostChoices = 1024;    // each is a separate request
constexpr std::size_t kFewQuestions = 4096;   // up to this number, questions may have any length
constexpr std::uint64_t kLeastBytes = 24;     // of a question among more, on average
constexpr std::size_t kHooksEvery = 64;       // questions

// The index that a number or a text names: 1, 1.0, "1", or the letter "B" or "b".
std::optional<std::size_t> named_index(JsonValue answer) {
  if (answer.is_string()) {
    const std::string_view text = strip(answer.text());
    std::size_t index = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), index);
    if (!text.empty() && read.ec == std::errc{} && read.ptr == text.data() + text.size()) return index;
    return index_of_letter(text);
  }
  const auto number = answer.get<double>();
  const bool is_index = answer.is_number() && number >= 0 && number < 1e6 && number == std::floor(number);
  return is_index ? std::optional(static_cast<std::size_t>(number)) : std::nullopt;
}

// The problem with an "answer"; empty if there is none.
std::string read_answer(JsonValue answer, const std::vector<std::string_view>& choices, Question& q) {
  const auto index = named_index(answer);
  const std::string found = answer.is_string() ? in_quotes(answer.text()) : in_quotes(answer.in_ascii(80));
  if (!index || *index >= choices.size()) {
    const std::size_t letters = std::min<std::size_t>(choices.size(), 26);
    return fmt::format("\"answer\" is {}, expected a number from 0 to {} or a letter from A to {}", found,
                       choices.size() - 1, static_cast<char>('A' + letters - 1));
  }
  // A text may also be meant as the choice itself: ["B", "A"] with "A".
  const auto is_meant = [&](std::string_view choice) {
    return answer.is_string() && strip(choice) == strip(answer.text());
  };
  const auto other = std::find_if(choices.begin(), choices.end(), is_meant);
  if (other != choices.end() && !is_meant(choices[*index]))
    return fmt::format("\"answer\" is {}, which names choice {} and is the text of choice {}: expected its number",
                       found, *index + 1, other - choices.begin() + 1);
  q.answer = static_cast<std::int64_t>(*index);
  return {};
}

// The problem with a multiple-choice line; empty if there is none.
std::string read_choices(JsonValue line, Question& q) {
  const auto choices = line.find("choices");
  if (!choices) return "has no \"choices\"";
  if (!choices->is_array() || choices->size() < 2)
    return fmt::format("\"choices\" is {}, expected a list of at least two texts",
                       choices->is_array() ? fmt::format("a list of {}", choices->size()) : choices->type_name());
  if (choices->size() > kMostChoices)
    return fmt::format("has {} choices, expected at most {}", choices->size(), kMostChoices);
  std::vector<std::string_view> texts;
  for (const JsonValue choice : *choices) {
    if (!choice.is_string()) return fmt::format("choice {} is {}, expected text", texts.size() + 1, choice.type_name());
    if (strip(choice.text()).empty()) return fmt::format("choice {} is empty", texts.size() + 1);
    texts.push_back(choice.text());
  }
  const auto answer = line.find("answer");
  if (!answer || answer->is_null()) return "has no \"answer\"";
  return read_answer(*answer, texts, q);
}

// The problem with fields that name and classify a question. null is the same as no field.
std::string read_names(JsonValue line, Question& q) {
  for (const char* key : {"id", "subject"})
    if (const auto value = line.find(key); value && !value->is_null()) {
      if (!value->is_string() && !value->is_number())
        return fmt::format("\"{}\" is {}, expected text or a number", key, value->type_name());
      if (key == std::string_view("id")) q.id = value->is_string() ? value->get<std::string>() : value->in_ascii();
    }
  const auto split = line.find("split");
  if (!split || split->is_null()) return {};
  const std::string_view name = split->text();
  q.is_example = name == "dev" || name == "train" || name == "fewshot";
  q.is_asked = name == "test" || name == "validation";
  if (q.is_example || q.is_asked) return {};
  return fmt::format("\"split\" is {}, expected test or validation (asked), dev, train or fewshot (examples)",
                     split->is_string() ? in_quotes(name) : split->type_name());
}

std::string read_line(TaskKind kind, Question& q) {
  const auto document = JsonDocument::parse(q.json);
  if (!document) return document.error().message;
  const JsonValue line = document->root();
  if (!line.is_object()) return fmt::format("is a JSON {}, expected an object", line.type_name());
  if (document->value_count() > kMostValues)
    return fmt::format("has {} values, expected at most {}", document->value_count(), kMostValues);
  if (std::string problem = read_names(line, q); !problem.empty()) return problem;
  // A generation task may use questions with choices.
  const bool has_choices = kind == TaskKind::generation && line.contains("choices");
  return kind == TaskKind::multiple_choice || has_choices ? read_choices(line, q) : std::string{};
}

// Calls `body` with each line that is not empty and its number, until it fails.
template <class Body>
Result<void> for_each_line(std::string_view text, Body&& body) {
  std::int64_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1, ++number;
    if (strip(line).empty()) continue;
    if (auto ok = body(line, number); !ok) return ok;
  }
  return {};
}

// Checks lines one by one. Only the place of each line is kept.
class QuestionReader {
 public:
  QuestionReader(TaskKind kind, const ReadHooks& hooks) : kind_(kind), hooks_(hooks) {}

  /// `content`: JSON lines. `numbers`: where each line stood in `file`; empty: in its place. `size`: bytes of `file`.
  Result<void> add(std::string content, const std::string& file, const std::vector<std::int64_t>& numbers,
                   std::uint64_t size) {
    const auto text = std::make_shared<const std::string>(std::move(content));
    std::size_t count = 0, done = 0;
    static_cast<void>(for_each_line(*text, [&](std::string_view, std::int64_t) { return ++count, Result<void>(); }));
    bytes_ += size;
    if (auto ok = check_question_count(questions_.size() + count, bytes_); !ok)
      return fail(ok.error().code, fmt::format("{} {}", file, ok.error().message));
    // Exact for one file, without a copy of everything for each of many.
    if (const std::size_t wanted = questions_.size() + count; wanted > questions_.capacity())
      questions_.reserve(std::max(wanted, questions_.capacity() * 3 / 2));
    return for_each_line(*text, [&](std::string_view line, std::int64_t number) -> Result<void> {
      if (auto ok = ask_hooks(file, done, count); !ok) return ok;
      Question q;
      q.file = text, q.json = line;
      q.line = numbers.empty() ? number : numbers[done];
      ++done;
      q.id = fmt::format("line {}", q.line);
      if (const std::string problem = read_line(kind_, q); !problem.empty()) return bad(file, q, problem);
      questions_.push_back(std::move(q));
      return {};
    });
  }

  Result<std::vector<Question>> finish(const std::string& path) {
    if (questions_.empty()) return fail(ErrorCode::bad_file, fmt::format("{} holds no question", path));
    // Sorted, not hashed: four bytes for each.
    std::vector<std::uint32_t> order(questions_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      const int order_of_ids = questions_[a].id.compare(questions_[b].id);
      return order_of_ids != 0 ? order_of_ids < 0 : a < b;
    });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (const Question& before = questions_[order[i - 1]], &q = questions_[order[i]]; before.id == q.id)
        return bad(path, q, fmt::format("has the id of line {}", before.line));
    return std::move(questions_);
  }

 private:
  static tl::unexpected<Error> bad(const std::string& file, const Question& q, const std::string& problem) {
    return fail(ErrorCode::bad_file, fmt::format("{}:{}: question {} {}", file, q.line, in_quotes(q.id), problem));
  }
  Result<void> ask_hooks(const std::string& file, std::size_t done, std::size_t count) const {
    if (done % kHooksEvery != 0) return {};
    if (hooks_.on_progress)
      hooks_.on_progress("reading " + file, static_cast<std::int64_t>(done), static_cast<std::int64_t>(count));
    if (!hooks_.cancelled || !hooks_.cancelled()) return {};
    return fail(ErrorCode::cancelled, fmt::format("interrupted while {} was read", file));
  }

  TaskKind kind_;
  const ReadHooks& hooks_;
  std::vector<Question> questions_;
  std::uint64_t bytes_ = 0;
};

Result<void> read_csv_folder(const std::string& folder, const ReadHooks& hooks, QuestionReader& reader) {
  const auto files = csv_files(folder);
  if (!files) return forward(files);
  std::filesystem::path named(folder);
  if (named.filename().empty()) named = named.parent_path();
  for (const std::string& file : *files) {
    auto subject = read_csv_subject(file, named.filename().string(), hooks.cancelled);
    if (!subject) return forward(subject);
    if (auto ok = reader.add(std::move(subject->json), file, subject->lines, subject->size); !ok) return ok;
  }
  return {};
}

}  // namespace

std::optional<std::size_t> index_of_letter(std::string_view text) {
  if (text.size() == 1 && text[0] >= 'A' && text[0] <= 'Z') return static_cast<std::size_t>(text[0] - 'A');
  if (text.size() == 1 && text[0] >= 'a' && text[0] <= 'z') return static_cast<std::size_t>(text[0] - 'a');
  return std::nullopt;
}

Result<void> check_question_count(std::size_t count, std::uint64_t bytes) {
  if (count <= kFewQuestions + bytes / kLeastBytes) return {};
  return fail(ErrorCode::bad_file, fmt::format("has {} questions in {} bytes: of more than {} each takes {} or more",
                                               count, bytes, kFewQuestions, kLeastBytes));
}

Result<std::vector<Question>> load_questions(const std::string& path, TaskKind kind, const ReadHooks& hooks) {
  std::error_code ignored;
  QuestionReader reader(kind, hooks);
  if (path != "-" && std::filesystem::is_directory(path, ignored)) {
    if (auto ok = read_csv_folder(path, hooks, reader); !ok) return forward(ok);
    return reader.finish(path);
  }
  auto content = read_text(path, {kQuestionBytes, Streams::allowed, hooks.cancelled});
  if (!content) return forward(content);
  const std::string file = path == "-" ? "standard input" : path;
  const std::uint64_t size = content->size();
  if (auto ok = reader.add(std::move(*content), file, {}, size); !ok) return forward(ok);
  return reader.finish(file);
}

}  // namespace moe::inline MOE_ABI::eval

#include "eval/tasks/template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "eval/score/text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::size_t kMostParts = 1024;

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return out.append(text);
}

// HellaSwag's cleaning: " [title]" ends a sentence, other [..] on one line go, double spaces shrink once.
std::string unbracket(std::string_view in) {
  const std::string text = replaced(strip(in), " [title]", ". ");
  std::string kept;
  std::size_t end = 0;  // of the line, or its next ]
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') {
      if (end <= i) end = std::min(text.find_first_of("]\n", i), text.size());
      if (end < text.size() && text[end] == ']') {
        i = end;
        continue;
      }
    }
    kept += text[i];
  }
  return replaced(kept, "  ", " ");
}

}  // namespace

Result<Template::Part> Template::parse_placeholder(std::string_view inside) {
  // The order is that of enum Filter.
  static constexpr std::string_view kFilters[] = {"strip", "spaces", "title", "head", "unbracket"};
  Part part;
  part.is_field = true;
  std::size_t bar = inside.find('|');
  std::string_view field = inside.substr(0, bar);
  if (const std::size_t open = field.find('['); open != std::string_view::npos) {
    std::size_t index = 0;
    const char* last = field.data() + field.size() - 1;
    const auto read = std::from_chars(field.data() + open + 1, last, index);
    if (field.back() != ']' || read.ec != std::errc{} || read.ptr != last || field.substr(0, open) != "choices")
      return fail(ErrorCode::bad_file,
                  fmt::format("placeholder {{{}}}: only choices[N] has an index", shortened(inside, 60)));
    part.index = index;
    field = field.substr(0, open);
  }
  if (field.empty()) return fail(ErrorCode::bad_file, "an empty placeholder {} (a literal brace is doubled)");
  part.text = field;
  while (bar != std::string_view::npos) {
    const std::size_t next = inside.find('|', bar + 1);
    const std::string_view name = inside.substr(bar + 1, next == std::string_view::npos ? next : next - bar - 1);
    const auto* known = std::find(std::begin(kFilters), std::end(kFilters), name);
    if (known == std::end(kFilters))
      return fail(ErrorCode::bad_file, fmt::format("placeholder {{{}}}: unknown filter {} (known: {})",
                                                   shortened(inside, 60), in_quotes(name), fmt::join(kFilters, ", ")));
    part.filters.push_back(static_cast<Filter>(known - std::begin(kFilters)));
    bar = next;
  }
  return part;
}

Result<Template> Template::parse(std::string_view text) {
  Template out;
  std::string literal;
  const auto add = [&](Part part) -> Result<void> {
    if (out.parts_.size() == kMostParts)
      return fail(ErrorCode::bad_file, fmt::format("more than {} pieces in {}", kMostParts, in_quotes(text)));
    out.parts_.push_back(std::move(part));
    return {};
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
    } else if (c == '{') {
      const std::size_t close = text.find('}', i);
      if (close == std::string_view::npos)
        return fail(ErrorCode::bad_file, fmt::format("placeholder without }} in {}", in_quotes(text)));
      auto part = parse_placeholder(text.substr(i + 1, close - i - 1));
      if (!part) return forward(part);
      if (!literal.empty()) out.parts_.push_back({std::exchange(literal, {}), false, {}, {}});
      if (auto ok = add(std::move(*part)); !ok) return forward(ok);
      i = close;
    } else if (c == '}') {
      return fail(ErrorCode::bad_file, fmt::format("a single }} in {} (a literal brace is doubled)", in_quotes(text)));
    } else {
      literal += c;
    }
  }
  if (!literal.empty()) out.parts_.push_back({std::move(literal), false, {}, {}});
  return out;
}

bool Template::uses(std::string_view field) const {
  return std::any_of(parts_.begin(), parts_.end(), [&](const Part& p) { return p.is_field && p.text == field; });
}

Result<std::string> Template::value(const Part& part, const TaskSpec& task, const QuestionFields& question,
                                    std::int64_t choice) const {
  const auto missing = [&](std::string_view what) {
    return fail(ErrorCode::bad_file, fmt::format("question {} has no {}", in_quotes(question.question().id), what));
  };
  if (part.text == "choices" || part.text == "choice") {
    const std::size_t at = part.index ? *part.index : static_cast<std::size_t>(choice);
    if (at >= question.choices().size())
      return missing(fmt::format("choice {} (it has {})", at + 1, question.choices().size()));
    return std::string(question.choices()[at]);
  }
  if (part.text == "label") {
    if (static_cast<std::size_t>(choice) >= task.labels.size())
      return missing(fmt::format("label for choice {} (the task has {} labels)", choice + 1, task.labels.size()));
    return task.labels[static_cast<std::size_t>(choice)];
  }
  auto found = question.text(part.text);
  if (!found) return missing(fmt::format("field {}", in_quotes(part.text)));
  return std::move(*found);
}

Result<std::string> Template::render(const TaskSpec& task, const QuestionFields& question, std::int64_t choice) const {
  std::string out;
  for (const Part& part : parts_) {
    if (!part.is_field) {
      out += part.text;
      continue;
    }
    auto text = value(part, task, question, choice);
    if (!text) return text;
    for (Filter filter : part.filters) {
      if (filter == Filter::strip) *text = std::string(strip(*text));
      if (filter == Filter::spaces) std::replace(text->begin(), text->end(), '_', ' ');
      if (filter == Filter::unbracket) *text = unbracket(*text);
      // The passage that several questions share: everything before the last line.
      if (filter == Filter::head && text->find('\n') != std::string::npos) text->resize(text->rfind('\n'));
      if (filter == Filter::title) {
        const auto subject =
            std::find_if(task.subjects.begin(), task.subjects.end(), [&](const auto& s) { return s.first == *text; });
        if (subject == task.subjects.end())
          return fail(ErrorCode::bad_file, fmt::format("question {}: the task file has no title for subject {}",
                                                       in_quotes(question.question().id), in_quotes(*text)));
        *text = subject->second;
      }
    }
    out += *text;
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

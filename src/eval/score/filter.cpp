#include "eval/score/filter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "eval/score/regex.hpp"
#include "eval/score/text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

using Function = FilterStep::Function;

// The match that group_select names, counted from the end when negative; the fallback when there is none.
Result<std::string> select_match(const FilterStep& step, const Regex& regex, const std::string& reply) {
  const auto found = regex.find_all(reply);
  if (!found) return forward(found);
  const auto count = static_cast<std::int64_t>(found->size());
  const std::int64_t at = step.group_select < 0 ? count + step.group_select : step.group_select;
  if (at < 0 || at >= count) return step.fallback;
  const std::string& match = (*found)[static_cast<std::size_t>(at)];
  return match.empty() && regex.has_several_groups() ? step.fallback : std::string(strip(match));
}

std::string transformed(const FilterStep& step, std::string reply) {
  switch (step.function) {
    case Function::remove_whitespace: return std::string(strip(reply));
    case Function::lowercase: return lowercase(reply);
    case Function::uppercase: return uppercase(reply);
    case Function::map: {
      const auto found =
          std::find_if(step.mapping.begin(), step.mapping.end(), [&](const auto& m) { return m.first == reply; });
      return found == step.mapping.end() ? step.fallback : found->second;
    }
    default: return reply;
  }
}

// Counter.most_common(1): the most frequent, the earliest of equals.
std::string majority(const std::vector<std::string>& replies) {
  const auto best = std::max_element(replies.begin(), replies.end(), [&](const auto& a, const auto& b) {
    return std::count(replies.begin(), replies.end(), a) < std::count(replies.begin(), replies.end(), b);
  });
  return *best;
}

tl::unexpected<Error> too_many(std::int64_t k, std::size_t replies) {
  return fail(ErrorCode::bad_argument,
              fmt::format("take_first_k: {} replies asked for, there {} {}", k, replies == 1 ? "is" : "are", replies));
}

// Number of replies before the step; updated to the number after it.
Result<void> check_step(const FilterStep& step, std::int64_t& replies) {
  switch (step.function) {
    case Function::take_first:
    case Function::majority_vote: replies = 1; return {};
    case Function::take_first_k:
      if (step.k > replies) return too_many(step.k, static_cast<std::size_t>(replies));
      replies = step.k;
      return {};
    case Function::regex: {
      const auto regex = Regex::compile(step.regex_pattern);
      return regex ? Result<void>() : Result<void>(forward(regex));
    }
    default: return {};
  }
}

Result<void> apply_step(const FilterStep& step, std::vector<std::string>& replies) {
  switch (step.function) {
    case Function::take_first: replies.resize(1); return {};
    case Function::majority_vote: replies = {majority(replies)}; return {};
    case Function::take_first_k:
      if (static_cast<std::size_t>(step.k) > replies.size()) return too_many(step.k, replies.size());
      replies.resize(static_cast<std::size_t>(step.k));
      return {};
    case Function::regex: {
      const auto regex = Regex::compile(step.regex_pattern);
      if (!regex) return forward(regex);
      for (std::string& reply : replies) {
        auto match = select_match(step, *regex, reply);
        if (!match) return forward(match);
        reply = std::move(*match);
      }
      return {};
    }
    default:
      for (std::string& reply : replies) reply = transformed(step, std::move(reply));
      return {};
  }
}

bool is_ascii_punctuation(char c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

Result<std::string> cleaned(const ExactMatchSpec& spec, std::string text) {
  for (const std::string& pattern : spec.regexes_to_ignore) {
    const auto regex = Regex::compile(pattern);
    if (!regex) return forward(regex);
    auto rest = regex->remove_all(text);
    if (!rest) return rest;
    text = std::move(*rest);
  }
  if (spec.ignore_case) text = lowercase(text);
  if (spec.ignore_punctuation) std::erase_if(text, is_ascii_punctuation);
  if (spec.ignore_numbers) std::erase_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return text;
}

}  // namespace

Result<std::string> apply_filter(const FilterSpec& filter, std::vector<std::string> replies) {
  for (const FilterStep& step : filter.steps) {
    if (replies.empty()) break;
    if (auto applied = apply_step(step, replies); !applied)
      return fail(applied.error().code,
                  fmt::format("filter {}: {}", shortened(filter.name, 60), applied.error().message));
  }
  return replies.empty() ? std::string() : std::move(replies.front());
}

Result<bool> exact_match(const ExactMatchSpec& spec, const std::string& answer, const std::string& target) {
  const auto a = cleaned(spec, answer), b = cleaned(spec, target);
  if (!a) return forward(a);
  if (!b) return forward(b);
  return *a == *b;
}

Result<void> check_filters(const TaskSpec& task) {
  for (const FilterSpec& filter : task.filters) {
    std::int64_t replies = 1;  // to each question
    for (const FilterStep& step : filter.steps)
      if (auto ok = check_step(step, replies); !ok)
        return fail(ErrorCode::bad_file, fmt::format("filter {}: {}", shortened(filter.name, 60), ok.error().message));
  }
  for (const std::string& pattern : task.exact_match.regexes_to_ignore)
    if (const auto regex = Regex::compile(pattern); !regex)
      return fail(ErrorCode::bad_file, fmt::format("exact_match: {}", regex.error().message));
  return {};
}

}  // namespace moe::inline MOE_ABI::eval

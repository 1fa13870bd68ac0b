#include "eval/score/regex.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "eval/score/text.hpp"
#include "support/pcre2.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

constexpr std::uint32_t kMatchLimit = 10'000'000;  // steps of one search; a reply is a few kilobytes

// What Python spells differently: \Z is the very end of the text (PCRE2's \z), \v one character, {,n} from 0 to n.
std::string translated(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    out += c;
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      out += escaped == 'Z' ? "z" : escaped == 'v' ? "x0b" : std::string(1, escaped);
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      if (pattern.substr(i + 1, 1) == "^") out += pattern[++i];
      if (pattern.substr(i + 1, 1) == "]") out += "\\]", ++i;  // a member
    } else if (c == '{' && pattern.substr(i + 1, 1) == "," &&
               pattern.substr(std::min(pattern.find_first_not_of("0123456789", i + 2), pattern.size()), 1) == "}") {
      out += '0';
    }
  }
  return out;
}

}  // namespace

struct Regex::Code {
  pcre2::Code compiled;
  std::string source;
};

struct Regex::Match {
  std::size_t begin = 0, end = 0;
  std::string value;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > pcre2::kMaxPatternBytes)
    return fail(ErrorCode::bad_argument,
                fmt::format("a pattern of {} bytes; at most {} are read", pattern.size(), pcre2::kMaxPatternBytes));
  const pcre2::CompileContext context = pcre2::make_compile_context();
  if (!context) return fail(ErrorCode::out_of_memory, "no memory for a pattern");
  const std::string source = translated(pattern);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // INVALID_UTF: a reply may end inside a character.
  pcre2::Code compiled(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(source.data()), source.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code,
                                     &offset, context.get()));
  if (!compiled)
    return fail(ErrorCode::bad_file,
                fmt::format("pattern {}: {} (at byte {})", in_quotes(pattern), pcre2::message_of(code), offset));
  return Regex(std::make_shared<const Code>(Code{std::move(compiled), std::string(pattern)}));
}

Result<std::vector<Regex::Match>> Regex::matches(std::string_view text) const {
  const pcre2::MatchData data(pcre2_match_data_create_from_pattern(code_->compiled.get(), nullptr));
  const pcre2::MatchContext context = pcre2::make_match_context(kMatchLimit);
  if (!data || !context) return fail(ErrorCode::out_of_memory, "no memory for a pattern match");
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
  const std::uint32_t pairs = pcre2_get_ovector_count(data.get());
  std::vector<Match> out;
  std::uint32_t options = 0;
  for (std::size_t from = 0; from <= text.size();) {
    const int rc = pcre2_match(code_->compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                               options, data.get(), context.get());
    if (rc == PCRE2_ERROR_NOMATCH) break;
    const bool is_limit = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT || rc == PCRE2_ERROR_HEAPLIMIT;
    if (rc < 0)
      return fail(is_limit ? ErrorCode::bad_argument : ErrorCode::internal,
                  fmt::format("pattern {} on a text of {} bytes: {}", in_quotes(code_->source), text.size(),
                              pcre2::message_of(rc)));
    Match match{range[0], range[1], {}};
    const auto group = [&](std::uint32_t g) {
      return range[2 * g] == PCRE2_UNSET ? std::string_view()
                                         : text.substr(range[2 * g], range[2 * g + 1] - range[2 * g]);
    };
    if (pairs == 1) match.value = group(0);
    for (std::uint32_t g = 1; g < pairs && match.value.empty(); ++g) match.value = group(g);
    // \K may set the start after the end.
    if (match.begin > match.end) match.begin = match.end;
    // As in Python: an empty match may touch the previous match, but the search always advances.
    options = match.begin == match.end ? PCRE2_NOTEMPTY_ATSTART : 0;
    from = match.end;
    out.push_back(std::move(match));
  }
  return out;
}

bool Regex::has_several_groups() const {
  std::uint32_t count = 0;
  pcre2_pattern_info(code_->compiled.get(), PCRE2_INFO_CAPTURECOUNT, &count);
  return count > 1;
}

Result<std::vector<std::string>> Regex::find_all(std::string_view text) const {
  auto found = matches(text);
  if (!found) return forward(found);
  std::vector<std::string> out;
  for (Match& match : *found) out.push_back(std::move(match.value));
  return out;
}

Result<std::string> Regex::remove_all(std::string_view text) const {
  const auto found = matches(text);
  if (!found) return forward(found);
  std::string out;
  std::size_t at = 0;
  for (const Match& match : *found) {
    out += text.substr(at, match.begin - at);
    at = match.end;
  }
  return out += text.substr(at);
}

}  // namespace moe::inline MOE_ABI::eval

#pragma once
// Python's re.findall and re.sub(pattern, "", text), as the filters of generation tasks use them.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// A pattern in Python's syntax, matched by PCRE2 with limits, so that no pattern can run for hours.
class MOE_API Regex {
 public:
  /// Errors: bad_file with PCRE2's reason, bad_argument for a pattern of more than 64 KiB, out_of_memory.
  static Result<Regex> compile(std::string_view pattern);

  /// findall: the whole match of a pattern without groups, its group of a pattern with one, and the first group that is
  /// not empty of a pattern with more (what the reference harness makes of Python's tuple; empty when all are).
  /// Errors: bad_argument when the match limit is reached.
  Result<std::vector<std::string>> find_all(std::string_view text) const;
  /// More than one group: then an empty string of find_all() is a match all of whose groups are empty.
  bool has_several_groups() const;
  /// The text without what matches. Errors: as find_all.
  Result<std::string> remove_all(std::string_view text) const;

 private:
  struct Code;
  struct Match;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  Result<std::vector<Match>> matches(std::string_view text) const;
  std::shared_ptr<const Code> code_;
};

}  // namespace moe::inline MOE_ABI::eval

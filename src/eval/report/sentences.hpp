#pragma once
// Sentences about numbers, for the terminal, the page and other files. Without a full stop at the end.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::eval {

/// A gap of two models, or of the best of two families. Absent values are omitted.
struct GapFacts {
  std::string a, b;
  double gap = 0;  ///< share of a minus share of b
  std::optional<double> standard_error = {};
  std::optional<std::pair<double, double>> interval = {};
  const char* interval_name = "95 % interval";
  std::optional<double> p = {};
  bool distinguishable = false;
  std::optional<std::int64_t> questions = {};
  std::optional<double> mde = {};
  std::optional<std::int64_t> questions_needed = {};
};

/// Highlights the words of the verdict; the argument says whether it is "better". Empty: no highlighting.
using VerdictInk = std::function<std::string(const char* words, bool is_better)>;

/// "a is better than b by 10.38 ± 0.99 points (95 % interval +8.44 to +12.32, p 6e-25)"; from the winner's side.
/// "a and b are not distinguishable by 99 questions: +4.04 ± 4.52 points (p 0.5034); such an exam finds gaps from 12.66
/// points on; a gap of this size needs about 974 questions".
std::string gap_sentence(const GapFacts& facts, const VerdictInk& ink = {});

/// The result of a single model, compared with guessing.
struct AnswerFacts {
  std::string name;
  double accuracy = 0;
  std::optional<double> standard_error = {};
  std::optional<std::pair<double, double>> interval = {};
  std::int64_t questions = 0;
  double chance = 0;
  double flops_per_question = 0;
};
/// "a answers 51.67 ± 2.89 % of 300 questions (95 % interval 46.01 to 57.32 %, guessing 25.00 %) at 23.39 GFLOPs each".
std::string answer_sentence(const AnswerFacts& facts);

/// "1 question", "14,042 questions".
std::string questions_form(std::int64_t count);
/// "300 of 2,376 questions" where some were left out.
std::string questions_form(std::int64_t asked, std::int64_t of_all);

// What columns mean.
inline constexpr const char* kFlopsMeaning = "one forward pass per distinct context and answer, nothing reused";
inline constexpr const char* kFrontMeaning = "no other row is both cheaper and better";
inline constexpr const char* kMdeMeaning = "MDE: the gap that 80 % of such exams find";
inline constexpr const char* kChecksMeaning =
    "Truncated: cut from the left to fit the model. Too long, non-finite, match limit: counted as wrong. Skipped: not "
    "asked (--limit, --until-known). Ties: the first counts. Re-encoded: the answer vanished inside a token of the "
    "prompt.";
/// "Compute x: what `reference` would spend for this accuracy, over what this row spends".
std::string multiplier_meaning(const std::string& column, const std::string& reference);

}  // namespace moe::inline MOE_ABI::eval

#include "eval/report/sentences.hpp"

#include <fmt/format.h>

#include <cmath>

#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

std::string bracketed(const std::string& first, const std::string& second) {
  if (first.empty() && second.empty()) return "";
  return fmt::format(" ({}{}{})", first, first.empty() || second.empty() ? "" : ", ", second);
}

std::string with_error(const std::string& value, const std::optional<double>& standard_error) {
  return standard_error ? value + " ± " + percent_form(*standard_error) : value;
}

// The text after the points; `flip` if b is better.
std::string gap_brackets(const GapFacts& f, bool flip) {
  std::string interval;
  if (f.interval) {
    const auto [low, high] = flip ? std::pair{-f.interval->second, -f.interval->first} : *f.interval;
    interval = fmt::format("{} {} to {}", f.interval_name, points_form(low), points_form(high));
  }
  return bracketed(interval, f.p ? "p " + p_form(*f.p) : "");
}

}  // namespace

std::string gap_sentence(const GapFacts& f, const VerdictInk& ink) {
  const auto verdict = [&](const char* words) { return ink ? ink(words, f.distinguishable) : std::string(words); };
  if (f.distinguishable) {
    const bool is_a = f.gap > 0;
    return fmt::format("{} is {} than {} by {} points{}", is_a ? f.a : f.b, verdict("better"), is_a ? f.b : f.a,
                       with_error(percent_form(std::abs(f.gap)), f.standard_error), gap_brackets(f, !is_a));
  }
  std::string out = fmt::format("{} and {} are {}{}: {} points{}", f.a, f.b, verdict("not distinguishable"),
                                f.questions ? " by " + questions_form(*f.questions) : "",
                                with_error(points_form(f.gap), f.standard_error), gap_brackets(f, false));
  if (f.mde) out += fmt::format("; such an exam finds gaps from {} points on", percent_form(*f.mde));
  if (f.questions_needed) out += "; a gap of this size needs about " + questions_form(*f.questions_needed);
  return out;
}

std::string answer_sentence(const AnswerFacts& f) {
  std::string interval, guessing;
  if (f.interval)
    interval =
        fmt::format("95 % interval {} to {} %", percent_form(f.interval->first), percent_form(f.interval->second));
  if (f.chance > 0) guessing = fmt::format("guessing {} %", percent_form(f.chance));
  return fmt::format("{} answers {} % of {}{} at {} GFLOPs each", f.name,
                     with_error(percent_form(f.accuracy), f.standard_error), questions_form(f.questions),
                     bracketed(interval, guessing), gflops_form(f.flops_per_question));
}

std::string questions_form(std::int64_t count) {
  return fmt::format("{} question{}", count_form(count), count == 1 ? "" : "s");
}

std::string questions_form(std::int64_t asked, std::int64_t of_all) {
  return asked == of_all ? questions_form(asked) : fmt::format("{} of {}", count_form(asked), questions_form(of_all));
}

std::string multiplier_meaning(const std::string& column, const std::string& reference) {
  return fmt::format("{}: what {} would spend for this accuracy, over what this row spends", column, reference);
}

}  // namespace moe::inline MOE_ABI::eval

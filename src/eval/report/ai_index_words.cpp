// Findings of the AI-Index view, in sentences.

#include <fmt/format.h>

#include <cmath>

#include "eval/report/ai_index_document.hpp"
#include "eval/report/forms.hpp"

namespace moe::inline MOE_ABI::eval::ai_index {
namespace {

// A gap without its sign.
std::string size_form(double share) { return percent_form(std::abs(share)); }

std::string needed_words(const Judgement& judgement) {
  if (judgement.is_real()) return "";
  if (!judgement.questions_needed) return "; no number of questions tells equal scores apart";
  return fmt::format("; a gap of this size needs about {} questions", count_form(*judgement.questions_needed));
}

std::string scored(const Row& row) {
  return fmt::format("{} ({}) {}\u00A0%", shown_model(row), row.country, percent_form(row.accuracy));
}

}  // namespace

std::string shown_model(const Row& row) { return row.model + (row.is_verified() ? "" : kUnverified); }

std::string verdict_of(const Judgement& judgement) {
  if (!judgement.is_real()) return "not distinguishable";
  return judgement.gap > 0 ? "real: US ahead" : "real: CN ahead";
}

std::string name_of(const YearGap& gap) {
  switch (gap.among) {
    case YearGap::Among::all: return fmt::format("{}, all rows", gap.year);
    case YearGap::Among::base: return fmt::format("{}, base rows", gap.year);
    case YearGap::Among::one_table: return fmt::format("{}, one table", gap.year);
  }
  return {};
}

std::string headline(std::span<const ReportedGap> gaps) {
  std::string out;
  for (const ReportedGap& gap : gaps)
    out += fmt::format("{}{:g} points ({}) {}", out.empty() ? "" : ", ", 100 * gap.gap, gap.when,
                       gap.is_real()   ? "are real"
                       : gap.is_open() ? "are not distinguishable"
                                       : "depend on the scores");
  return fmt::format(
      "The lead of the best US over the best Chinese model on MMLU, as the AI Index report 2025 has it: {}.", out);
}

std::string words(const ReportedGap& gap) {
  const std::string what = fmt::format("AI Index, {}: {:g} points", gap.when, 100 * gap.gap);
  if (gap.is_real())
    return fmt::format("{}, real: whatever the two scores were, {} questions leave at most ±\u00A0{} points open.",
                       what, count_form(kQuestions), percent_form(gap.widest.standard_error));
  std::string out = fmt::format(
      "{}, {}: {} questions leave ±\u00A0{} points open for scores up to the best row's, {} "
      "around 50\u00A0%",
      what, gap.is_open() ? "not distinguishable" : "depending on the two scores", count_form(kQuestions),
      percent_form(gap.narrowest.standard_error), percent_form(gap.widest.standard_error));
  const auto least = gap.narrowest.questions_needed, most = gap.widest.questions_needed;
  if (least && most)
    out += fmt::format("; to tell, it takes about {} to {} questions", count_form(*least), count_form(*most));
  return out + ".";
}

std::string words(const YearGap& gap) {
  const Judgement& j = gap.judgement;
  std::string out = name_of(gap);
  if (gap.is_one_table()) out += fmt::format(" (both from {}, {})", gap.us->source, gap.us->protocol);
  return fmt::format("{}: {} against {}: {} ±\u00A0{} points, {}{}.", out, scored(*gap.us), scored(*gap.cn),
                     size_form(j.gap), percent_form(j.standard_error), verdict_of(j), needed_words(j));
}

std::string words(const Reference& reference) {
  return fmt::format(
      "Reference: {}, {} points, {} to {} %. Least squares give logit(MMLU) = {:.3f} + {:.3f} ln(GFLOPs/token) with a "
      "residual error of {:.3f} logits, a factor of {:.2f} in compute.",
      reference.family, reference.points, percent_form(reference.lowest), percent_form(reference.highest),
      reference.intercept, reference.slope, reference.residual, std::exp(reference.residual / reference.slope));
}

}  // namespace moe::inline MOE_ABI::eval::ai_index

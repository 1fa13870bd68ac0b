#include "eval/tasks/fewshot.hpp"

#include <fmt/format.h>

#include <numeric>

#include "eval/score/text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {

std::string field_of(const QuestionFields& question, const std::string& field) {
  return question.text(field).value_or(std::string());
}

FewshotSampler::FewshotSampler(const FewshotSpec& spec, const std::vector<Shot>& pool, std::int64_t count,
                               std::uint64_t seed)
    : spec_(spec), pool_(pool), count_(static_cast<std::size_t>(count)), random_(seed) {}

const std::vector<std::size_t>& FewshotSampler::candidates(const std::string& match) {
  const auto [at, is_new] = candidates_.try_emplace(match);
  if (is_new)
    for (std::size_t i = 0; i < pool_.size(); ++i)
      if (pool_[i].match == match) at->second.push_back(i);
  return at->second;
}

Result<std::vector<const Shot*>> FewshotSampler::before(const QuestionFields& question) {
  if (count_ == 0) return std::vector<const Shot*>();
  const std::string match = spec_.match.empty() ? std::string() : field_of(question, spec_.match);
  const std::vector<std::size_t>& from = candidates(match);
  // If a question may be among its own examples, one more is drawn.
  const std::size_t wanted = count_ + (spec_.spare ? 1 : 0);
  if (from.size() < wanted)
    return fail(
        ErrorCode::bad_argument,
        fmt::format("{} examples asked for, there {} {}{}", wanted, from.size() == 1 ? "is" : "are", from.size(),
                    match.empty() ? "" : fmt::format(" with {} {}", spec_.match, in_quotes(match))));
  std::vector<std::size_t> chosen(wanted);
  if (spec_.rule == FewshotRule::random)
    chosen = random_.sample(from.size(), wanted);
  else
    std::iota(chosen.begin(), chosen.end(), std::size_t{0});
  std::vector<const Shot*> shots;
  for (std::size_t c : chosen) {
    const Shot& shot = pool_[from[c]];
    if (shots.size() < count_ && !(spec_.spare && shot.json == question.question().json)) shots.push_back(&shot);
  }
  return shots;
}

}  // namespace moe::inline MOE_ABI::eval

#include "serve/compose.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace moe::inline MOE_ABI::serve {
namespace {

// The tokens of an owner per turn.
constexpr std::int64_t kTurnTokens = 64;

using Owner = std::string_view;

// Keeps `most` of the replies: owners take turns, longest waiting first.
void keep_in_turn(std::vector<StepItem>& items, std::size_t most) {
  if (items.size() <= most) return;
  struct Place {
    std::int64_t turn = 0, served = 0;  // of its owner: replies before this one, and served
    StepItem item;
  };
  std::stable_sort(items.begin(), items.end(),
                   [](const StepItem& a, const StepItem& b) { return a.reply->served < b.reply->served; });
  std::map<Owner, std::int64_t> turns, served;
  for (const StepItem& item : items) served[item.job->job.owner] = item.reply->served;  // the last one is the latest
  std::vector<Place> places;
  for (const StepItem& item : items) {
    const Owner owner = item.job->job.owner;
    places.push_back({turns[owner]++, served[owner], item});
  }
  std::stable_sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return a.turn != b.turn ? a.turn < b.turn : a.served < b.served;
  });
  items.clear();
  for (std::size_t i = 0; i < most; ++i) items.push_back(places[i].item);
}

// Tokens that fit in this time; all without a limit or measurements.
std::int64_t fitting(double seconds, double each) {
  constexpr double kAll = 1 << 30;
  return static_cast<std::int64_t>(seconds > 0 && each > 0 ? std::min(seconds / each, kAll) : kAll);
}

std::int64_t count_owners(std::span<const StepItem> items) {
  std::set<Owner> owners;
  for (const StepItem& item : items) owners.insert(item.job->job.owner);
  return static_cast<std::int64_t>(owners.size());
}

}  // namespace

std::span<const TokenId> StepItem::tokens() const {
  const auto size = static_cast<std::size_t>(count);
  if (reply == nullptr) return std::span(job->job.prompt).subspan(static_cast<std::size_t>(begin), size);
  return std::span(reply->tokens()).subspan(static_cast<std::size_t>(begin - job->prompt_tokens()), size);
}

std::vector<StepItem> Composer::next_tokens(std::span<JobRecord* const> running, const StepBudget& budget,
                                            bool has_slices) {
  std::vector<StepItem> items;
  for (JobRecord* job : running)
    for (ReplyRecord& reply : job->replies)
      if (reply.sequence != kNoSequence && job->pending(reply) == 1)
        items.push_back({job, &reply, reply.sequence, reply.length, 1, Logits::last});
  // Reserves a row for prompts, so that they always make progress.
  std::int64_t most = std::min(budget.rows - (has_slices ? 1 : 0), budget.replies);
  if (const std::int64_t owners = count_owners(items); owners > 1)
    most = std::min(most, std::max(fitting(budget.seconds, budget.reply_seconds), owners));
  keep_in_turn(items, static_cast<std::size_t>(std::max<std::int64_t>(most, 1)));
  return items;
}

std::vector<Composer::Slice> Composer::slices(std::span<JobRecord* const> running) {
  std::vector<Slice> all;
  for (JobRecord* job : running) {
    if (!job->has_branched)
      all.push_back(
          {{job, nullptr, job->trunk, job->trunk_length, 0, Logits::none}, job->trunk_end(), job->first_row()});
    for (ReplyRecord& reply : job->replies)
      if (const std::int64_t pending = job->pending(reply); reply.sequence != kNoSequence && pending > 1)
        all.push_back({{job, &reply, reply.sequence, reply.length, 0, Logits::none},
                       reply.length + pending,
                       reply.length + pending - 1});
  }
  return all;
}

// Rows cannot begin within a slice, except for its last position alone.
bool Composer::grow(Slice& slice, std::int64_t quantum, std::int64_t long_rope, std::int64_t& tokens_left,
                    std::int64_t& rows_left) {
  StepItem& item = slice.item;
  const std::int64_t rows_before = item.row_count(), room = rows_left + rows_before;
  std::int64_t end = std::min(item.begin + item.count + std::min(quantum, tokens_left), slice.end);
  Logits logits = Logits::none;
  if (item.begin >= slice.first_row) {
    end = std::min(end, item.begin + room);
    if (item.begin < long_rope) end = std::min(end, long_rope);
    logits = Logits::all;
  } else if (end > slice.first_row) {
    if (end == slice.first_row + 1 && room > 0)
      logits = Logits::last;
    else
      end = slice.first_row;
  }
  const std::int64_t grown = end - item.begin - item.count;
  if (grown <= 0) return false;
  item.count += grown;
  item.logits = logits;
  tokens_left -= grown;
  rows_left = room - item.row_count();
  return true;
}

// Owners take turns; each one's oldest job goes first.
void Composer::share_out(std::vector<Slice>& all, std::int64_t long_rope, std::int64_t tokens_left,
                         std::int64_t rows_left) {
  std::map<std::string_view, std::vector<Slice*>> owners;
  for (Slice& s : all) owners[s.item.job->job.owner].push_back(&s);
  for (auto& [owner, waiting] : owners) std::reverse(waiting.begin(), waiting.end());  // the next one is at the back
  auto turn = owners.upper_bound(first_owner_);
  if (turn == owners.end()) turn = owners.begin();
  if (turn != owners.end()) first_owner_ = turn->first;
  for (std::int64_t least = kLeastSlice; std::max(tokens_left, least) > 0 && !owners.empty();) {
    auto& waiting = turn->second;
    while (!waiting.empty()) {
      std::int64_t room = std::max(tokens_left, least);
      const std::int64_t before = room;
      if (grow(*waiting.back(), kTurnTokens, long_rope, room, rows_left)) {
        tokens_left -= before - room;
        least = 0;
        break;
      }
      waiting.pop_back();
    }
    turn = waiting.empty() ? owners.erase(turn) : std::next(turn);
    if (turn == owners.end()) turn = owners.begin();
  }
}

std::vector<StepItem> Composer::compose(std::span<JobRecord* const> running, const StepBudget& budget) {
  std::vector<Slice> all = slices(running);
  std::vector<StepItem> items = next_tokens(running, budget, !all.empty());
  const auto written = static_cast<std::int64_t>(items.size());
  std::int64_t tokens = budget.tokens - written;
  if (written > 0) {
    const double left = budget.seconds - static_cast<double>(written) * budget.reply_seconds;
    tokens = std::min(tokens, fitting(std::max(left, budget.seconds / 2), budget.token_seconds));
  }
  share_out(all, budget.long_rope, tokens, std::max<std::int64_t>(budget.rows - written, 1));
  for (const Slice& s : all)
    if (s.item.count > 0) items.push_back(s.item);
  return items;
}

}  // namespace moe::inline MOE_ABI::serve

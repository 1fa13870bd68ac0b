#include "batch/kept_sequences.hpp"

#include <algorithm>
#include <utility>

namespace moe::inline MOE_ABI::batch {
namespace {

// Limits the work of find(); memory is limited by the cache.
constexpr std::size_t kMostKept = 256;

std::size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

KeptSequences::Match KeptSequences::find(std::span<const TokenId> prompt) const {
  Match best;
  for (const Entry& e : entries_)
    if (const auto tokens = static_cast<std::int64_t>(common_length(e.tokens, prompt));
        tokens > 0 && tokens >= best.tokens)
      best = {e.id, tokens};
  return best;
}

const KeptSequences::Entry* KeptSequences::entry(std::int64_t id) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.id == id; });
  return found == entries_.end() ? nullptr : &*found;
}

void KeptSequences::expect(std::span<const std::int64_t> ids) {
  for (Entry& e : entries_) {
    e.forks_to_come = std::count(ids.begin(), ids.end(), e.id);
    e.is_spent = false;
  }
}

Result<Sequence> KeptSequences::fork(std::int64_t id, std::int64_t tokens) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.id == id; });
  if (found == entries_.end()) return fail(ErrorCode::not_found, "the kept sequence is gone");
  std::rotate(found, found + 1, entries_.end());
  entries_.back().is_spent = --entries_.back().forks_to_come <= 0;
  auto sequence = session_.fork(entries_.back().sequence);
  if (!sequence) return sequence;
  if (auto cut = session_.rewind(*sequence, tokens); !cut) {
    static_cast<void>(session_.close(*sequence));
    return forward(cut);
  }
  return sequence;
}

void KeptSequences::keep(Sequence sequence, std::vector<TokenId> tokens) {
  const auto is_beginning_of_it = [&](const Entry& e) {
    return common_length(e.tokens, tokens) == e.tokens.size() || common_length(e.tokens, tokens) == tokens.size();
  };
  // If one is a prefix of the other, the longer one is enough; of equal ones the new one is kept.
  std::erase_if(entries_, [&](Entry& e) {
    if (!is_beginning_of_it(e)) return false;
    if (e.tokens.size() > tokens.size()) std::swap(e.sequence, sequence), std::swap(e.tokens, tokens);
    static_cast<void>(session_.close(e.sequence));
    return true;
  });
  if (entries_.size() >= kMostKept) drop_one();
  entries_.push_back({next_id_++, sequence, std::move(tokens)});
}

std::int64_t KeptSequences::pages() const {
  std::vector<Sequence> all;
  for (const Entry& e : entries_) all.push_back(e.sequence);
  return session_.closing_frees(all) / kPageTokens;
}

bool KeptSequences::drop_one() {
  if (entries_.empty()) return false;
  auto victim = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.is_spent; });
  if (victim == entries_.end())
    victim = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.forks_to_come <= 0; });
  if (victim == entries_.end()) victim = entries_.begin();
  static_cast<void>(session_.close(victim->sequence));
  entries_.erase(victim);
  return true;
}

void KeptSequences::clear() {
  while (drop_one()) {
  }
}

}  // namespace moe::inline MOE_ABI::batch

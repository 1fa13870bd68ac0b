#pragma once
// Sequences of earlier runs, kept in the cache for prompts with the same prefix. A run counts their pages as free and
// drops the oldest ones when it needs room.

#include <cstdint>
#include <span>
#include <vector>

#include "moe/session.hpp"

namespace moe::inline MOE_ABI::batch {

class KeptSequences {
 public:
  explicit KeptSequences(Session& session) : session_(session) {}
  ~KeptSequences() { clear(); }
  KeptSequences(const KeptSequences&) = delete;
  KeptSequences& operator=(const KeptSequences&) = delete;

  /// The one that has most tokens in common with the beginning of `prompt`; the latest of equal ones.
  struct Match {
    std::int64_t id = -1;
    std::int64_t tokens = 0;
  };
  Match find(std::span<const TokenId> prompt) const;

  /// A run begins and will fork these, possibly several times.
  void expect(std::span<const std::int64_t> ids);
  bool holds(std::int64_t id) const { return entry(id) != nullptr; }
  /// A new sequence with this many of its first tokens.
  Result<Sequence> fork(std::int64_t id, std::int64_t tokens);
  /// Takes over a sequence with these tokens. Sequences that are a prefix of another are closed.
  void keep(Sequence sequence, std::vector<TokenId> tokens);

  /// Pages that dropping all would free.
  std::int64_t pages() const;
  /// Drops one: first those that the run will not fork again, then the oldest of those that it does not use.
  /// False when there is none.
  bool drop_one();
  void clear();

 private:
  struct Entry {
    std::int64_t id = 0;
    Sequence sequence = 0;
    std::vector<TokenId> tokens;
    std::int64_t forks_to_come = 0;  // in this run
    bool is_spent = false;           // was forked in this run, and will not be again
  };
  const Entry* entry(std::int64_t id) const;

  Session& session_;
  std::vector<Entry> entries_;  // oldest use first
  std::int64_t next_id_ = 0;
};

}  // namespace moe::inline MOE_ABI::batch

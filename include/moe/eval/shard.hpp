#pragma once
// A task in shards, which processes of their own answer: each its questions into a store, which are merged afterwards.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "moe/eval/prompt.hpp"

namespace moe::inline MOE_ABI::eval {

/// Part `index` of `count`, counted from 1.
struct Shard {
  std::int32_t index = 1, count = 1;
  friend bool operator==(const Shard&, const Shard&) = default;
};

inline constexpr std::int32_t kMaxShards = 65536;

/// "2/3". Errors: bad_argument.
MOE_API Result<Shard> parse_shard(std::string_view text);
MOE_API std::string to_string(const Shard& shard);

/// The shard's questions, in file order: a function of the task's prompts and of `shard` alone, so that shards know
/// nothing of each other. Every question is in one of the `count` shards. Questions with the same prompt stay together,
/// those with a common beginning as far as the shards' sizes allow; sizes are bytes of text that a forward pass reads.
/// O(n log n) comparisons of prompts. Errors: bad_argument for a shard outside 1 <= index <= count <= kMaxShards.
MOE_API Result<std::vector<QuestionIndex>> questions_of(const PreparedTask& task, const Shard& shard);

}  // namespace moe::inline MOE_ABI::eval

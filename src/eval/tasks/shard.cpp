// A task's questions dealt to shards.

#include "moe/eval/shard.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "support/number.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// A shard gets about this many units: more even out the shards, fewer share more of the prompts.
constexpr std::int64_t kUnitsPerShard = 8;
// A reply is read token by token as well; a token is about this many bytes of text.
constexpr std::int64_t kBytesPerToken = 4;

// Questions that one shard answers, and the bytes that its forward passes read for them.
struct Unit {
  std::vector<QuestionIndex> questions;
  std::int64_t bytes = 0;
};

std::string_view prompt_of(const Document& document) {
  return document.contexts.empty() ? std::string_view() : document.contexts.front();
}

std::int64_t bytes_behind(std::string_view text, std::string_view before) {
  const auto end = std::mismatch(text.begin(), text.end(), before.begin(), before.end()).first;
  return text.end() - end;
}

// What a question adds behind another one's prompt.
std::int64_t bytes_of(const TaskSpec& task, const Document& document, std::string_view before) {
  std::int64_t bytes = task.kind == TaskKind::generation ? kBytesPerToken * task.generation.max_tokens : 0;
  for (const std::string& context : document.contexts) bytes += bytes_behind(context, before), before = context;
  for (const std::string& continuation : document.continuations)
    bytes += static_cast<std::int64_t>(continuation.size());
  return std::max<std::int64_t>(bytes, 1);
}

// The subtask's questions by their prompts: those that begin alike are neighbours, as in the prefix tree.
std::vector<std::size_t> by_prompt(const Subtask& subtask) {
  std::vector<std::size_t> order(subtask.documents.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return prompt_of(subtask.documents[a]) < prompt_of(subtask.documents[b]);
  });
  return order;
}

// Neighbours up to `most` bytes; the same prompt is never cut.
void add_units(const PreparedTask& task, std::size_t s, std::int64_t most, std::vector<Unit>& units) {
  const Subtask& subtask = task.subtasks[s];
  std::string_view before;
  for (bool first = true; const std::size_t d : by_prompt(subtask)) {
    const Document& document = subtask.documents[d];
    const bool same_prompt = !first && prompt_of(document) == before;
    if (first || (units.back().bytes >= most && !same_prompt)) units.emplace_back();
    units.back().questions.push_back({s, d});
    units.back().bytes += bytes_of(task.spec, document, before);
    before = prompt_of(document), first = false;
  }
}

std::int64_t total_bytes(const PreparedTask& task) {
  std::vector<Unit> all;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s)
    add_units(task, s, std::numeric_limits<std::int64_t>::max(), all);
  return std::accumulate(all.begin(), all.end(), std::int64_t{0},
                         [](std::int64_t sum, const Unit& unit) { return sum + unit.bytes; });
}

}  // namespace

Result<Shard> parse_shard(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const Bounds<std::int32_t> bounds{1, kMaxShards};
    const auto index = parse_number<std::int32_t>("shard", std::string(text.substr(0, slash)), bounds);
    const auto count = parse_number<std::int32_t>("shard", std::string(text.substr(slash + 1)), bounds);
    if (index && count && *index <= *count) return Shard{*index, *count};
  }
  return fail(ErrorCode::bad_argument,
              fmt::format("{} is no shard, expected I/N with 1 <= I <= N <= {}, as 1/3, 2/3, 3/3", in_quotes(text),
                          kMaxShards));
}

std::string to_string(const Shard& shard) { return fmt::format("{}/{}", shard.index, shard.count); }

Result<std::vector<QuestionIndex>> questions_of(const PreparedTask& task, const Shard& shard) {
  if (shard.index < 1 || shard.index > shard.count || shard.count > kMaxShards)
    return fail(ErrorCode::bad_argument, fmt::format("shard {} of {}, expected 1 <= index <= count <= {}", shard.index,
                                                     shard.count, kMaxShards));
  const std::int64_t most = total_bytes(task) / (kUnitsPerShard * shard.count);
  std::vector<Unit> units;
  for (std::size_t s = 0; s < task.subtasks.size(); ++s) add_units(task, s, most, units);
  // The largest first, each to the shard that has least so far.
  std::stable_sort(units.begin(), units.end(), [](const Unit& a, const Unit& b) { return a.bytes > b.bytes; });
  using Load = std::pair<std::int64_t, std::int32_t>;  // bytes, index
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (std::int32_t i = 1; i <= shard.count; ++i) loads.push({0, i});
  std::vector<QuestionIndex> out;
  for (const Unit& unit : units) {
    const auto [bytes, index] = loads.top();
    loads.pop(), loads.push({bytes + unit.bytes, index});
    if (index == shard.index) out.insert(out.end(), unit.questions.begin(), unit.questions.end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

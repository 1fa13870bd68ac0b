#include "eval/run/request_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "eval/score/text.hpp"
#include "support/show.hpp"

namespace moe::inline MOE_ABI::eval {
namespace {

// Context + continuation without the last token, cut from the left; fills in the counts of `score`.
std::vector<TokenId> fit(PairEncoder::Pair& pair, std::int64_t max_length, Score& score) {
  score.context_tokens = static_cast<std::int32_t>(pair.context.size());
  score.continuation_tokens = static_cast<std::int32_t>(pair.continuation.size());
  score.reencoded = pair.reencoded;
  if (score.continuation_tokens > max_length) {
    score.failure = Failure::too_long;
    score.log_likelihood = std::numeric_limits<double>::quiet_NaN();
    return {};
  }
  std::vector<TokenId> input = std::move(pair.context);
  input.insert(input.end(), pair.continuation.begin(), pair.continuation.end());
  input.pop_back();
  const auto surplus = static_cast<std::int64_t>(input.size()) - max_length;
  if (surplus > 0) {
    input.erase(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(surplus));
    score.truncated = true;
  }
  score.pass_tokens = static_cast<std::int32_t>(input.size());
  score.pass = pass_fingerprint(input);
  return input;
}

// body(i) for all groups, in slices, so that Ctrl-C also works while a long exam is encoded.
template <class Body>
Result<void> in_slices(std::int64_t count, const ParallelFor& threads, const Hooks& hooks, Body&& body) {
  constexpr std::int64_t kSlice = 512;
  std::vector<Result<void>> failures(static_cast<std::size_t>(count));
  for (std::int64_t done = 0; done < count; done += kSlice) {
    if (hooks.cancelled && hooks.cancelled()) return fail(ErrorCode::cancelled, "interrupted");
    parallel_for(threads, std::min(kSlice, count - done), [&](std::int64_t i, std::int32_t) {
      failures[static_cast<std::size_t>(done + i)] = body(static_cast<std::size_t>(done + i));
    });
  }
  for (const auto& failure : failures)
    if (!failure) return failure;
  return {};
}

tl::unexpected<Error> about(std::string_view question, const Error& error) {
  return fail(error.code, fmt::format("question {}: {}", in_quotes(question), error.message));
}

}  // namespace

std::int64_t pass_fingerprint(std::span<const TokenId> tokens) {
  std::uint64_t h = 0x9E3779B97F4A7C15u ^ tokens.size();
  for (TokenId id : tokens) {
    h = (h ^ static_cast<std::uint32_t>(id)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  }
  return static_cast<std::int64_t>(h >> 1);
}

Result<EncodedScores> encode_scores(const Tokenizer& tokenizer, std::span<const ScoreRequest> requests,
                                    std::int64_t max_length, const ParallelFor& threads, const Hooks& hooks) {
  // Requests with the same context are adjacent and share its encoding.
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < requests.size(); ++i)
    if (i == 0 || requests[i].context != requests[i - 1].context) starts.push_back(i);
  const auto group_count = static_cast<std::int64_t>(starts.size());
  starts.push_back(requests.size());
  const PairEncoder encoder(tokenizer);
  EncodedScores out{Inputs(requests.size()), {}, {}};
  out.targets.resize(requests.size());
  out.scores.resize(requests.size());
  for (const ScoreRequest& request : requests) out.tallies.push_back(request.tally);
  const auto encode_group = [&](std::size_t group) -> Result<void> {
    const std::size_t begin = starts[group], end = starts[group + 1];
    std::vector<std::string_view> continuations;
    for (std::size_t i = begin; i < end; ++i) continuations.push_back(requests[i].continuation);
    auto pairs = encoder.encode(requests[begin].context, continuations);
    if (!pairs) return about(requests[begin].question, pairs.error());
    for (std::size_t i = begin; i < end; ++i) {
      PairEncoder::Pair& pair = (*pairs)[i - begin];
      auto input = fit(pair, max_length, out.scores[i]);
      if (out.scores[i].failure == Failure::none) out.targets[i] = std::move(pair.continuation);
      i == begin ? out.inputs.set_own(i, std::move(input)) : out.inputs.set(i, std::move(input));
    }
    return {};
  };
  if (auto done = in_slices(group_count, threads, hooks, encode_group); !done) return forward(done);
  return out;
}

Result<EncodedTexts> encode_texts(const Tokenizer& tokenizer, std::span<const TextRequest> requests,
                                  std::int64_t max_length, const ParallelFor& threads, const Hooks& hooks) {
  const PairEncoder encoder(tokenizer);
  std::vector<std::vector<TokenId>> ids(requests.size());  // the prefix token, then the text
  const auto encode_one = [&](std::size_t i) -> Result<void> {
    auto encoded = encoder.encode_text(requests[i].text);
    if (!encoded) return about(requests[i].question, encoded.error());
    ids[i] = std::move(*encoded);
    return {};
  };
  if (auto done = in_slices(static_cast<std::int64_t>(requests.size()), threads, hooks, encode_one); !done)
    return forward(done);
  std::vector<TextWindow> windows;
  std::vector<std::size_t> owner;
  std::vector<Score> scores(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto count = static_cast<std::int64_t>(ids[i].size()) - 1;
    scores[i].continuation_tokens = static_cast<std::int32_t>(count);
    for (const TextWindow& w : text_windows(count, max_length)) {
      scores[i].pass_tokens += static_cast<std::int32_t>(w.input_count());
      windows.push_back(w), owner.push_back(i);
    }
  }
  EncodedTexts out{
      {Inputs(windows.size()), {}, std::vector<Score>(windows.size())}, std::move(owner), std::move(scores)};
  for (std::size_t w = 0; w < windows.size(); ++w) {
    const auto at = [&](std::int64_t position) { return ids[out.owner[w]].begin() + 1 + position; };
    out.windows.inputs.set_own(w, {at(windows[w].first), at(windows[w].end - 1)});
    out.windows.targets.emplace_back(at(windows[w].begin), at(windows[w].end));
  }
  return out;
}

Result<EncodedContexts> encode_contexts(const Tokenizer& tokenizer, std::span<const GenerateRequest> requests,
                                        std::int64_t max_length, const ParallelFor& threads, const Hooks& hooks) {
  const PairEncoder encoder(tokenizer);
  EncodedContexts out{Inputs(requests.size()), {}};
  out.replies.resize(requests.size());
  const auto encode_one = [&](std::size_t i) -> Result<void> {
    Generation& reply = out.replies[i];
    auto ids = encoder.encode_context(requests[i].context);
    if (!ids) return about(requests[i].question, ids.error());
    reply.context_tokens = static_cast<std::int32_t>(ids->size());
    const std::int64_t room = max_length - requests[i].max_tokens;
    if (room < 1 || requests[i].max_tokens < 1) {
      reply.failure = Failure::too_long;
      ids->clear();
    }
    const auto surplus = static_cast<std::int64_t>(ids->size()) - room;
    if (reply.failure == Failure::none && surplus > 0) {
      ids->erase(ids->begin(), ids->begin() + static_cast<std::ptrdiff_t>(surplus));
      reply.truncated = true;
    }
    reply.pass_tokens = static_cast<std::int32_t>(ids->size());
    out.inputs.set_own(i, std::move(*ids));
    return {};
  };
  if (auto done = in_slices(static_cast<std::int64_t>(requests.size()), threads, hooks, encode_one); !done)
    return forward(done);
  return out;
}

}  // namespace moe::inline MOE_ABI::eval

#include "serve/intake.hpp"

#include <fmt/format.h>

#include <utility>

#include "generate/log_probabilities.hpp"
#include "generate/seeds.hpp"

namespace moe::inline MOE_ABI::serve {
namespace {

Result<void> check_tokens(const Job& job, const Limits& limits) {
  if (job.prompt.empty()) return fail(ErrorCode::bad_argument, "the prompt has 0 tokens, expected at least 1");
  for (std::size_t i = 0; i < job.prompt.size(); ++i)
    if (job.prompt[i] < 0 || job.prompt[i] >= limits.vocab_size)
      return fail(ErrorCode::bad_argument, fmt::format("token {} of the prompt is {}, expected an id from 0 to {}", i,
                                                       job.prompt[i], limits.vocab_size - 1));
  return {};
}

Result<void> check_settings(const Job& job, const Limits& limits) {
  const GenerateOptions& o = job.options;
  if (o.replies < 1 || o.replies > limits.max_sequences)
    return fail(ErrorCode::unsupported, fmt::format("replies is {}, expected 1 to {} (replies that run at one time)",
                                                    o.replies, limits.max_sequences));
  if (o.max_tokens < 0)
    return fail(ErrorCode::bad_argument, fmt::format("max_tokens is {}, expected at least 0", o.max_tokens));
  if (job.min_tokens < 0 || (o.max_tokens > 0 && job.min_tokens > o.max_tokens))
    return fail(ErrorCode::bad_argument, fmt::format("min_tokens is {}, expected 0 to max_tokens", job.min_tokens));
  if (job.score_prompt && (*job.score_prompt < 0 || *job.score_prompt > generate::kMostListed))
    return fail(ErrorCode::bad_argument,
                fmt::format("score_prompt is {}, expected 0 to {}", *job.score_prompt, generate::kMostListed));
  return {};
}

/// The limit of each reply, 0 for a job that only scores. The default is as many as fit the context and the cache; the
/// last token of a reply is never run, so it needs no room.
Result<std::int64_t> limit_of_replies(const Job& job, const Limits& limits) {
  const auto prompt = static_cast<std::int64_t>(job.prompt.size());
  const std::int64_t asked = job.options.max_tokens, replies = job.options.replies;
  const bool is_given = asked > 0 || job.score_prompt.has_value();
  if (const std::int64_t most = limits.context - prompt + 1; (is_given ? asked : 1) > most)
    return fail(
        ErrorCode::bad_argument,
        fmt::format("the prompt has {} tokens and the reply up to {}, expected at most {} together (the model's "
                    "context, and the last token)",
                    prompt, is_given ? asked : 1, limits.context + 1));
  if (is_given) {
    const std::int64_t pages = most_pages(prompt, prompt + asked - 1, asked > 0 ? replies : 1);
    if (pages <= limits.cache_pages) return asked;
    return fail(ErrorCode::bad_argument,
                fmt::format("the prompt has {} tokens and {} replies up to {} each, which takes {} pages of {} tokens, "
                            "expected at most {} (the key/value cache)",
                            prompt, replies, asked, pages, kPageTokens, limits.cache_pages));
  }
  const std::int64_t shared = batch::full_pages_of(prompt);
  const std::int64_t longest = (shared + (limits.cache_pages - shared) / replies) * kPageTokens;
  const std::int64_t room = std::min(limits.context, longest) - prompt + 1;
  if (shared <= limits.cache_pages && room >= 1) return room;
  return fail(ErrorCode::bad_argument,
              fmt::format("the prompt has {} tokens and {} replies, which do not fit into {} pages of {} tokens (the "
                          "key/value cache)",
                          prompt, replies, limits.cache_pages, kPageTokens));
}

/// The same, once everything else but the options of Reply is right.
Result<std::int64_t> checked_limit(const Job& job, const Limits& limits) {
  if (auto ok = check_tokens(job, limits); !ok) return forward(ok);
  if (auto ok = check_settings(job, limits); !ok) return forward(ok);
  return limit_of_replies(job, limits);
}

Result<generate::Reply> new_reply(const Job& job, std::int64_t max_tokens, std::int64_t index, const Limits& limits) {
  const std::uint64_t seed = generate::seed_of_reply(job.options.sampling.seed, static_cast<std::uint64_t>(index));
  return generate::Reply::create(limits.tokenizer, job.options, max_tokens, seed, generate::TextStart::goes_on);
}

}  // namespace

Result<void> check_job(const Job& job, const Limits& limits) {
  const auto max_tokens = checked_limit(job, limits);
  if (!max_tokens) return forward(max_tokens);
  if (auto reply = new_reply(job, *max_tokens, 0, limits); !reply) return forward(reply);
  return {};
}

Result<std::unique_ptr<JobRecord>> take_in(Job job, std::shared_ptr<JobSink> sink, const Limits& limits) {
  if (sink == nullptr) return fail(ErrorCode::bad_argument, "the sink is null");
  const auto max_tokens = checked_limit(job, limits);
  if (!max_tokens) return forward(max_tokens);

  auto record = std::make_unique<JobRecord>();
  record->generates = *max_tokens > 0;
  record->submitted = Clock::now();
  for (std::int64_t i = 0; i < job.options.replies; ++i) {
    auto reply = new_reply(job, *max_tokens, i, limits);
    if (!reply) return forward(reply);
    reply->set_min_tokens(job.min_tokens);
    reply->see_prompt(job.prompt);
    reply->result().prompt_tokens = static_cast<std::int64_t>(job.prompt.size());
    record->replies.push_back(ReplyRecord{std::move(*reply)});
  }
  if (job.score_prompt) record->scores.emplace_back();
  record->job = std::move(job);
  record->sink = std::move(sink);
  return record;
}

}  // namespace moe::inline MOE_ABI::serve

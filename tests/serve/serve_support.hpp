#pragma once
// A sink that checks the order of its calls, and what a job's answer must be: computed alone, token by token.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fake_engine.hpp"
#include "generate/reply.hpp"
#include "generate/seeds.hpp"
#include "serve/scheduler.hpp"
#include "support/log_softmax.hpp"
#include "unit/tokenizer_support.hpp"

namespace moe_test {

using moe::GenerateOptions;
using moe::Generation;
using moe::TokenId;
using moe::serve::Job;
using moe::serve::JobId;
using moe::serve::JobSink;
using moe::serve::Scheduler;
using moe::serve::SchedulerOptions;

inline void add_bits(std::string& out, const moe::PositionLogProbabilities& p) {
  const auto add = [&](const auto& value) { out.append(reinterpret_cast<const char*>(&value), sizeof value); };
  add(p.chosen.token), add(p.chosen.log_probability);
  for (const moe::TokenLogProbability& best : p.best) add(best.token), add(best.log_probability);
  out += '/';
}
inline std::string bits(const std::vector<moe::PositionLogProbabilities>& all) {
  std::string out;
  for (const auto& p : all) add_bits(out, p);
  return out;
}
/// The parts of a reply that must not depend on batches or reuse.
inline std::string reply_bits(const Generation& g) {
  std::string out = g.text + '\0' + std::string(name_of(g.end)) + '\0' + g.stop + '\0';
  for (const TokenId id : g.tokens) out.append(reinterpret_cast<const char*>(&id), sizeof id);
  return out + '\0' + bits(g.log_probabilities) + std::to_string(g.prompt_tokens) + ' ' + std::to_string(g.seed);
}

/// A whole answer; `failed` where the job did.
struct Answer {
  std::string scores = {};
  std::vector<std::string> replies = {};
  std::string failed = {};
  friend bool operator==(const Answer&, const Answer&) = default;
};

/// Collects an answer. `broken` is the first rule of JobSink that was.
class RecordingSink final : public JobSink {
 public:
  explicit RecordingSink(const Job& job) : scores_wanted_(job.score_prompt.has_value()) {
    const auto replies = static_cast<std::size_t>(job.options.replies);
    answer.replies.resize(replies);
    text_.resize(replies), tokens_.resize(replies), scores_.resize(replies), has_ended_.resize(replies);
  }

  void on_admitted() override {
    check(!is_admitted && !is_over, "admitted twice or after the end");
    is_admitted = true;
  }
  void on_prompt_scores(std::vector<moe::PositionLogProbabilities> all) override {
    check(is_admitted && !is_over && scores_wanted_ && !has_scores_, "scores not wanted, too early or twice");
    has_scores_ = true;
    answer.scores = bits(all);
    scores = std::move(all);
  }
  void on_piece(std::size_t reply, std::string_view text, std::span<const TokenId> tokens,
                std::span<const moe::PositionLogProbabilities> of_tokens) override {
    check(is_admitted && !is_over && has_scores_ == scores_wanted_ && !has_ended_.at(reply), "a piece out of order");
    text_[reply] += text;
    tokens_[reply].insert(tokens_[reply].end(), tokens.begin(), tokens.end());
    scores_[reply].insert(scores_[reply].end(), of_tokens.begin(), of_tokens.end());
    ++pieces;
  }
  void on_end(std::size_t reply, const Generation& g) override {
    check(is_admitted && !is_over && has_scores_ == scores_wanted_ && !has_ended_.at(reply), "an end out of order");
    check(g.text == text_[reply] && g.tokens == tokens_[reply] && bits(g.log_probabilities) == bits(scores_[reply]),
          "the pieces are not the whole");
    has_ended_[reply] = true;
    answer.replies[reply] = reply_bits(g);
    generations.push_back(g);
  }
  void on_finished() override {
    check(is_admitted && !is_over, "finished out of order");
    for (const bool ended : has_ended_) check(ended, "finished before all replies ended");
    is_over = true;
  }
  void on_failed(const moe::Error& error) override {
    check(!is_over, "failed after the end");
    is_over = true;
    answer = {};
    answer.failed = name_of(error.code);
  }
  /// It was cancelled, and the scheduler has seen it: no call may come.
  void forbid() { is_over = true; }

  Answer answer;
  std::vector<moe::PositionLogProbabilities> scores;  ///< of the prompt
  std::vector<Generation> generations;                ///< as they ended
  std::string broken;
  std::size_t pieces = 0;
  bool is_admitted = false, is_over = false;

 private:
  void check(bool holds, const char* rule) {
    if (!holds && broken.empty()) broken = rule;
  }
  bool scores_wanted_, has_scores_ = false;
  std::vector<std::string> text_;
  std::vector<std::vector<TokenId>> tokens_;
  std::vector<std::vector<moe::PositionLogProbabilities>> scores_;
  std::vector<bool> has_ended_;
};

/// Scores of a prompt by the definition, from rows of logits.
inline moe::PositionLogProbabilities score_of(std::span<const float> row, std::size_t known, TokenId token,
                                              std::int64_t count) {
  const moe::RowSummary summary = moe::summarise(row);
  std::vector<TokenId> order;
  for (std::size_t i = 0; i < known; ++i) order.push_back(static_cast<TokenId>(i));
  const auto logit = [&](TokenId id) { return row[static_cast<std::size_t>(id)]; };
  const auto most = static_cast<std::ptrdiff_t>(std::min(static_cast<std::size_t>(count), known));
  std::partial_sort(order.begin(), order.begin() + most, order.end(),
                    [&](TokenId a, TokenId b) { return logit(a) > logit(b) || (logit(a) == logit(b) && a < b); });
  moe::PositionLogProbabilities out{{token, summary.log_probability(logit(token))}, {}};
  for (std::ptrdiff_t i = 0; i < most; ++i) {
    const TokenId id = order[static_cast<std::size_t>(i)];
    out.best.push_back({id, summary.log_probability(logit(id))});
  }
  return out;
}

/// The answer to a job with the model to itself and without any cache. `max_tokens` resolves a limit that is not given.
inline Answer answer_alone(const FakeModel& model, const Job& job, std::int64_t max_tokens) {
  std::vector<float> row(static_cast<std::size_t>(model.rows));
  const auto known = static_cast<std::size_t>(model.tokens());
  const bool generates = job.options.max_tokens > 0 || !job.score_prompt;
  Answer answer;
  answer.replies.resize(static_cast<std::size_t>(job.options.replies));
  std::uint64_t hash = 0;
  std::vector<moe::PositionLogProbabilities> scores;
  for (std::size_t i = 0; i < job.prompt.size() - (generates ? 0 : 1); ++i) {
    hash = FakeModel::next(hash, job.prompt[i]);
    if (model.is_poisoned(hash)) return {{}, {}, "non_finite"};
    if (!job.score_prompt || i + 1 == job.prompt.size()) continue;
    model.logits(hash, row.data());
    scores.push_back(score_of(row, known, job.prompt[i + 1], *job.score_prompt));
  }
  answer.scores = bits(scores);
  for (std::size_t k = 0; k < answer.replies.size(); ++k) {
    const std::uint64_t seed = moe::generate::seed_of_reply(job.options.sampling.seed, k);
    auto reply = *moe::generate::Reply::create(model.tokenizer, job.options, max_tokens, seed,
                                               moe::generate::TextStart::goes_on);
    reply.set_min_tokens(job.min_tokens);
    reply.see_prompt(job.prompt);
    std::uint64_t h = hash;
    while (generates && !reply.ended()) {
      if (!reply.result().tokens.empty()) h = FakeModel::next(h, reply.last());
      if (model.is_poisoned(h)) return {{}, {}, "non_finite"};
      model.logits(h, row.data());
      static_cast<void>(reply.take(row, known));
    }
    if (!generates) static_cast<void>(reply.end(moe::EndReason::max_tokens));
    reply.result().prompt_tokens = static_cast<std::int64_t>(job.prompt.size());
    answer.replies[k] = reply_bits(reply.result());
  }
  return answer;
}

/// Bytes are tokens; two merges, a control token and the end token.
inline SharedTokenizer serve_tokenizer() {
  auto v = small_vocabulary("gpt-2", {"a b", "b a"}, {"<|tool|>", "<|end|>"});
  v.eos = static_cast<TokenId>(v.tokens.size()) - 1;
  return must(moe::Tokenizer::create(v));
}

}  // namespace moe_test

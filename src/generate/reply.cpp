#include "generate/reply.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "generate/log_probabilities.hpp"
#include "generate/utf8_tail.hpp"
#include "support/float_environment.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI {

std::string_view name_of(EndReason reason) {
  switch (reason) {
    case EndReason::end_token: return "end_token";
    case EndReason::stop_text: return "stop_text";
    case EndReason::max_tokens: return "max_tokens";
    case EndReason::cancelled: return "cancelled";
  }
  return "unknown";
}

namespace generate {

Result<Reply> Reply::create(const Tokenizer* tokenizer, const GenerateOptions& options, std::int64_t max_tokens,
                            std::uint64_t seed, TextStart start) {
  SamplingConfig sampling = options.sampling;
  sampling.seed = seed;
  auto sampler = Sampler::create(sampling);
  if (!sampler) return forward(sampler);
  if (tokenizer == nullptr && !options.stop.empty())
    return fail(ErrorCode::bad_argument, "stop texts need a tokenizer, and the model has none");
  for (std::size_t i = 0; i < options.stop.size(); ++i)
    if (options.stop[i].empty())
      return fail(ErrorCode::bad_argument, fmt::format("stop text {} is empty, expected at least one byte", i));
  if (options.log_probabilities && (*options.log_probabilities < 0 || *options.log_probabilities > kMostListed))
    return fail(ErrorCode::bad_argument,
                fmt::format("log_probabilities is {}, expected 0 to {}", *options.log_probabilities, kMostListed));
  Reply reply(tokenizer, options, std::move(*sampler));
  reply.max_tokens_ = max_tokens;
  reply.special_tokens_ = options.special_tokens;
  reply.start_ = start;
  reply.candidates_ = options.candidates;
  reply.log_probabilities_ = options.log_probabilities;
  reply.end_tokens_ = options.stop_tokens;
  if (tokenizer != nullptr && options.end_tokens == EndTokens::stop)
    for (const TokenId id : tokenizer->stop_ids()) reply.end_tokens_.push_back(id);
  std::sort(reply.end_tokens_.begin(), reply.end_tokens_.end());
  reply.result_.seed = seed;
  return reply;
}

bool Reply::is_end_token(TokenId token) const {
  return std::binary_search(end_tokens_.begin(), end_tokens_.end(), token);
}

std::span<const float> Reply::without_end_tokens(std::span<const float> row) {
  masked_.assign(row.begin(), row.end());
  for (const TokenId id : end_tokens_)
    if (id >= 0 && static_cast<std::size_t>(id) < masked_.size())
      masked_[static_cast<std::size_t>(id)] = -std::numeric_limits<float>::infinity();
  return masked_;
}

Result<std::string_view> Reply::take(std::span<const float> row, std::size_t known) {
  const FloatEnvironment environment;
  known = candidates_ == Candidates::all_rows ? row.size() : std::min(known, row.size());
  const bool may_end = static_cast<std::int64_t>(result_.tokens.size()) >= min_tokens_;
  const auto token = sampler_.next(may_end ? row.first(known) : without_end_tokens(row.first(known)));
  if (!token) return forward(token);
  result_.tokens.push_back(*token);
  if (log_probabilities_)
    result_.log_probabilities.push_back(log_probabilities_of(row, known, *token, *log_probabilities_));
  if (is_end_token(*token)) return end(EndReason::end_token);

  const std::size_t old_visible = visible_.size(), old_raw = raw_.size();
  if (auto ok = append_text(*token); !ok) return forward(ok);
  if (static_cast<std::int64_t>(result_.tokens.size()) >= min_tokens_) look_for_stop(old_visible, old_raw);
  if (ended_) return show(visible_.size());
  if (left() <= 0) return end(EndReason::max_tokens);

  // A stop text may begin here, or a character may be incomplete.
  const std::size_t held = std::max(stop_.possible_beginning(visible_), stop_.possible_beginning(raw_));
  std::size_t safe = std::max(shown_, visible_.size() - std::min(held, visible_.size()));
  safe -= std::min(incomplete_utf8_tail(std::string_view(visible_).substr(shown_, safe - shown_)), safe - shown_);
  return show(safe);
}

std::string_view Reply::end(EndReason reason) {
  ended_ = true;
  result_.end = reason;
  return show(visible_.size());
}

Result<void> Reply::append_text(TokenId token) {
  if (tokenizer_ == nullptr || token >= tokenizer_->vocab_size()) return {};  // padding has no text
  const auto bytes = [&](const std::string& before, SpecialTokens special) {
    return start_ == TextStart::alone && before.empty() ? tokenizer_->decode(token, special)
                                                        : tokenizer_->decode_more(token, special);
  };
  const auto raw = bytes(raw_, SpecialTokens::show);
  if (!raw) return forward(raw);
  const auto visible = bytes(visible_, special_tokens_);
  if (!visible) return forward(visible);
  if (visible->empty() && !raw->empty()) hidden_.push_back({raw_.size(), raw->size()});
  raw_ += *raw;
  visible_ += *visible;
  return {};
}

std::size_t Reply::visible_before(std::size_t raw_end) const {
  std::size_t hidden = 0;
  for (const Hidden& h : hidden_)
    if (h.at < raw_end) hidden += std::min(h.size, raw_end - h.at);
  return raw_end - hidden;
}

// A stop text may be in the visible text, or name a hidden special token.
void Reply::look_for_stop(std::size_t old_visible, std::size_t old_raw) {
  if (stop_.empty()) return;
  auto found = stop_.find(visible_, old_visible);
  if (!found && !hidden_.empty()) {
    found = stop_.find(raw_, old_raw);
    if (found) found->at = visible_before(found->at);
  }
  if (!found) return;
  visible_.resize(std::max(std::min(found->at, visible_.size()), shown_));
  result_.stop = stop_[found->text];
  ended_ = true;
  result_.end = EndReason::stop_text;
}

std::string_view Reply::show(std::size_t end) {
  piece_ = replace_invalid_utf8(std::string_view(visible_).substr(shown_, end - shown_));
  shown_ = end;
  result_.text += piece_;
  return piece_;
}

}  // namespace generate
}  // namespace moe::inline MOE_ABI

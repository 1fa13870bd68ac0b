#include "serve/api/logprobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "generate/utf8_tail.hpp"
#include "support/utf8.hpp"

namespace moe::inline MOE_ABI::serve::api {
namespace {

// A unique key for the token: two tokens may have the same text.
std::string key_of(const Tokenizer& tokenizer, TokenId token, const Json& taken) {
  std::string key = token_text(tokenizer.bytes_of(token));
  return taken.contains(key) ? fmt::format("token_id:{}", token) : key;
}

}  // namespace

std::string token_text(std::string_view bytes) {
  if (replace_invalid_utf8(bytes) == bytes) return std::string(bytes);
  std::string out = "bytes:";
  for (const char c : bytes) fmt::format_to(std::back_inserter(out), "\\x{:02X}", static_cast<unsigned char>(c));
  return out;
}

double listed(double log_probability) { return std::isinf(log_probability) ? -9999.0 : log_probability; }

std::int64_t TextOffsets::next(std::string_view bytes) {
  const std::int64_t at =
      !bytes.empty() && is_continuation_byte(bytes.front()) && characters_ > 0 ? characters_ - 1 : characters_;
  characters_ += std::count_if(bytes.begin(), bytes.end(), [](char c) { return !is_continuation_byte(c); });
  return at;
}

void CompletionLogprobs::add_one(std::string_view shown, const PositionLogProbabilities& score) {
  Json best = Json::object();
  std::string own;
  for (const TokenLogProbability& p : score.best) {
    const std::string key = key_of(tokenizer_, p.token, best);
    if (p.token == score.chosen.token) own = key;
    best[key] = listed(p.log_probability);
  }
  if (own.empty()) {
    own = key_of(tokenizer_, score.chosen.token, best);
    best[own] = listed(score.chosen.log_probability);
  }
  tokens_.push_back(own);
  values_.push_back(listed(score.chosen.log_probability));
  best_.push_back(std::move(best));
  offset_list_.push_back(offsets_.next(shown));
}

void CompletionLogprobs::add_prompt(std::span<const TokenId> prompt, std::span<const std::string_view> shown,
                                    std::span<const PositionLogProbabilities> scores) {
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    if (i > 0 && i - 1 < scores.size()) {
      add_one(shown[i], scores[i - 1]);
      continue;
    }
    tokens_.push_back(token_text(tokenizer_.bytes_of(prompt[i])));  // nothing precedes the first one
    values_.push_back(nullptr);
    best_.push_back(nullptr);
    offset_list_.push_back(offsets_.next(shown[i]));
  }
}

void CompletionLogprobs::add(std::span<const TokenId> tokens, std::span<const PositionLogProbabilities> scores) {
  for (std::size_t i = 0; i < std::min(tokens.size(), scores.size()); ++i) {
    const bool hidden = special_ == SpecialTokens::hide && tokenizer_.is_control(tokens[i]);
    add_one(hidden ? std::string_view() : tokenizer_.bytes_of(tokens[i]), scores[i]);
  }
}

Json CompletionLogprobs::take() {
  Json out = {{"tokens", std::move(tokens_)},
              {"token_logprobs", std::move(values_)},
              {"top_logprobs", std::move(best_)},
              {"text_offset", std::move(offset_list_)}};
  tokens_ = values_ = best_ = offset_list_ = Json::array();
  return out;
}

Json chat_logprobs(const Tokenizer& tokenizer, std::span<const PositionLogProbabilities> scores, std::size_t count) {
  const auto entry = [&](const TokenLogProbability& p) {
    const auto bytes = tokenizer.bytes_of(p.token);
    Json numbers = Json::array();
    for (const char c : bytes) numbers.push_back(static_cast<unsigned char>(c));
    return Json{{"token", token_text(bytes)}, {"logprob", listed(p.log_probability)}, {"bytes", std::move(numbers)}};
  };
  Json out = Json::array();
  for (const PositionLogProbabilities& score : scores) {
    Json one = entry(score.chosen);
    Json best = Json::array();
    for (std::size_t i = 0; i < std::min(count, score.best.size()); ++i) best.push_back(entry(score.best[i]));
    one["top_logprobs"] = std::move(best);
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::serve::api

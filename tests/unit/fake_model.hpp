#pragma once
// The scripted model of the harness cases: every answer comes from a hash of the texts, so that one wrong byte shows.

#include <functional>

#include "moe/eval/language_model.hpp"
#include "support/sha256.hpp"

namespace moe_test {

/// log-likelihood = -16 u / 2^48 with u the first six bytes, big endian, of SHA-256(context 0x1f continuation); greedy
/// where two bits of the next byte are zero. Whole texts follow an empty context. `reply_to` gives replies.
class FakeModel : public moe::eval::LanguageModel {
 public:
  std::function<std::string(std::string_view context)> reply_to;

  moe::Result<std::vector<moe::eval::Score>> score(std::span<const moe::eval::ScoreRequest> requests,
                                                   const moe::eval::Hooks&) override {
    std::vector<moe::eval::Score> scores;
    for (const auto& r : requests) scores.push_back(score_of(r.context, r.continuation));
    return scores;
  }
  moe::Result<std::vector<moe::eval::Score>> score_texts(std::span<const moe::eval::TextRequest> requests,
                                                         const moe::eval::Hooks&) override {
    std::vector<moe::eval::Score> scores;
    for (const auto& r : requests) scores.push_back(score_of("", r.text));
    return scores;
  }
  moe::Result<std::vector<moe::eval::Generation>> generate(std::span<const moe::eval::GenerateRequest> requests,
                                                           const moe::eval::Hooks&) override {
    std::vector<moe::eval::Generation> out(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) out[i].text = reply_to(requests[i].context);
    return out;
  }

 private:
  static moe::eval::Score score_of(std::string_view context, std::string_view continuation) {
    const auto digest = moe::sha256(std::string(context) + '\x1f' + std::string(continuation));
    double u48 = 0;
    for (std::size_t i = 0; i < 6; ++i) u48 = u48 * 256 + digest[i];
    moe::eval::Score s;
    s.log_likelihood = -16 * u48 / 281474976710656.0;
    s.is_greedy = (digest[6] & 3) == 0;
    return s;
  }
};

}  // namespace moe_test

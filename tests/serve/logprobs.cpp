// Log-probabilities as lists: keys, offsets, the token itself among the best ones.

#include "serve/api/logprobs.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace moe;
using namespace moe::serve::api;

namespace {

/// Ids 0 to 6 with these bytes; 6 is a control token.
class FewTokens final : public Tokenizer {
 public:
  Result<std::vector<TokenId>> encode(std::string_view, const EncodeOptions&) const override {
    return std::vector<TokenId>();
  }
  std::int64_t vocab_size() const override { return static_cast<std::int64_t>(texts_.size()); }
  std::optional<TokenId> bos() const override { return {}; }
  std::optional<TokenId> eos() const override { return 6; }
  const std::vector<TokenId>& stop_ids() const override { return stop_; }
  const std::vector<TokenId>& generate_stop_ids() const override { return stop_; }
  std::string_view bytes_of(TokenId id) const override { return texts_[static_cast<std::size_t>(id)]; }
  bool is_control(TokenId id) const override { return id == 6; }
  bool adds_bos() const override { return false; }
  std::optional<TokenId> find(std::string_view) const override { return {}; }
  std::uint64_t fingerprint() const override { return 0; }

 protected:
  Result<std::string> decode_text(std::span<const TokenId>, SpecialTokens) const override { return std::string(); }
  Result<std::string> decode_continuation(std::span<const TokenId>, SpecialTokens) const override {
    return std::string();
  }

 private:
  std::vector<std::string> texts_{"a", "\xC3", "\xA9", "a", "\xE2\x82", "\xAC b", "<end>"};
  std::vector<TokenId> stop_{6};
};

PositionLogProbabilities position(TokenId chosen, double value, std::vector<TokenLogProbability> best) {
  return {{chosen, value}, std::move(best)};
}

}  // namespace

TEST_CASE("tokens as texts") {
  CHECK(token_text("abc") == "abc");
  CHECK(token_text("\xC3\xA9") == "\xC3\xA9");
  CHECK(token_text("\xE2\x96") == "bytes:\\xE2\\x96");
  CHECK(token_text("a\xFF") == "bytes:\\x61\\xFF");
  CHECK(listed(-std::numeric_limits<double>::infinity()) == -9999.0);
  CHECK(listed(-0.25) == -0.25);
}

TEST_CASE("offsets count characters by the tokens' own bytes") {
  TextOffsets offsets;
  CHECK(offsets.next("ab") == 0);
  CHECK(offsets.next("\xC3") == 2);  // a character begins
  CHECK(offsets.next("\xA9"
                     "c") == 2);  // and is finished: this token begins in it
  CHECK(offsets.next("") == 4);
  CHECK(offsets.next("d") == 4);
  TextOffsets broken;
  CHECK(broken.next("\xA9") == 0);
  CHECK(broken.next("x") == 0);
}

TEST_CASE("the token itself is listed once, under a key of its own") {
  const FewTokens tokenizer;
  CompletionLogprobs lists(tokenizer, SpecialTokens::hide);
  const std::vector<TokenId> tokens{3, 1, 2, 6};
  // 0 and 3 have one text; the token itself may be among the best ones or not.
  lists.add(tokens, std::vector{position(3, -2, {{0, -1}, {3, -2}}), position(1, -5, {{0, -1}}),
                                position(2, -1, {{2, -1}}), position(6, -3, {})});
  const Json out = lists.take();
  CHECK(out["tokens"] == Json({"token_id:3", "bytes:\\xC3", "bytes:\\xA9", "<end>"}));
  CHECK(out["token_logprobs"] == Json({-2.0, -5.0, -1.0, -3.0}));
  CHECK(out["top_logprobs"][0].dump() == R"({"a":-1.0,"token_id:3":-2.0})");
  CHECK(out["top_logprobs"][1].dump() == R"({"a":-1.0,"bytes:\\xC3":-5.0})");
  CHECK(out["top_logprobs"][2].size() == 1);
  CHECK(out["top_logprobs"][3].dump() == R"({"<end>":-3.0})");
  CHECK(out["text_offset"] == Json({0, 1, 1, 2}));
  CHECK(lists.empty());
  // Offsets go on where the last stretch ended; the end token took no room.
  lists.add(std::vector<TokenId>{0}, std::vector{position(0, -1, {})});
  CHECK(lists.take()["text_offset"] == Json::array({2}));
}

TEST_CASE("a prompt begins with a token that nothing stands before") {
  const FewTokens tokenizer;
  CompletionLogprobs lists(tokenizer, SpecialTokens::show);
  const std::vector<TokenId> prompt{6, 0, 4, 5};
  const std::vector<std::string_view> shown{"", "a", "\xE2\x82", "\xAC b"};
  lists.add_prompt(prompt, shown, std::vector{position(0, -1, {}), position(4, -2, {}), position(5, -3, {})});
  lists.add(std::vector<TokenId>{6}, std::vector{position(6, -4, {})});
  const Json out = lists.take();
  CHECK(out["token_logprobs"] == Json({nullptr, -1.0, -2.0, -3.0, -4.0}));
  CHECK(out["top_logprobs"][0].is_null());
  CHECK(out["text_offset"] == Json({0, 0, 1, 1, 4}));
}

TEST_CASE("logprobs of a chat") {
  const FewTokens tokenizer;
  const Json out = chat_logprobs(tokenizer, std::vector{position(1, -2, {{0, -1}, {3, -1.5}})}, 1);
  CHECK(
      out.dump() ==
      R"([{"token":"bytes:\\xC3","logprob":-2.0,"bytes":[195],"top_logprobs":[{"token":"a","logprob":-1.0,"bytes":[97]}]}])");
}

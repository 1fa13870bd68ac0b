// A reply while it is written: the tokens are forced by logits of our own, so that the text is known beforehand.

#include "generate/reply.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "generate/utf8_tail.hpp"
#include "tokenizer_support.hpp"

namespace reply_test {

namespace {

using moe::EndReason;
using moe::GenerateOptions;
using moe::TokenId;
using moe::generate::Reply;
using moe::generate::TextStart;
using moe_test::Ids;

// Bytes are tokens; some merges, so that tokens are cut in several ways; two control tokens, the last one ends replies.
moe_test::SharedTokenizer tokenizer() {
  auto v = moe_test::small_vocabulary("gpt-2", {"a b", "b a", "ab a"}, {"<|tool|>", "<|end|>"});
  v.eos = static_cast<TokenId>(v.tokens.size()) - 1;
  return moe_test::must(moe::Tokenizer::create(v));
}

struct Written {
  std::vector<std::string> pieces;
  moe::Generation result;
  std::string all() const {
    std::string text;
    for (const std::string& p : pieces) text += p;
    return text;
  }
};

// Forces `ids` one after the other, while the reply continues. Two rows of padding follow the vocabulary.
Written write(const moe::Tokenizer& tokens, const Ids& ids, const GenerateOptions& options,
              std::int64_t max_tokens = 1000) {
  auto reply = Reply::create(&tokens, options, max_tokens, 0, TextStart::goes_on);
  REQUIRE_MESSAGE(reply.has_value(), reply.error().message);
  Written out;
  const auto known = static_cast<std::size_t>(tokens.vocab_size());
  std::vector<float> row(known + 2, 0.0f);
  row.back() = 100.0f;  // padding is never drawn
  for (const TokenId id : ids) {
    if (reply->ended()) break;
    row[static_cast<std::size_t>(id)] = 50.0f;
    const auto piece = reply->take(row, known);
    REQUIRE_MESSAGE(piece.has_value(), piece.error().message);
    out.pieces.emplace_back(*piece);
    row[static_cast<std::size_t>(id)] = 0.0f;
  }
  if (!reply->ended()) out.pieces.emplace_back(reply->end(EndReason::cancelled));
  out.result = reply->result();
  return out;
}

}  // namespace

TEST_CASE("characters come whole, whatever tokens they come in") {
  const auto tokens = tokenizer();
  const std::string text = "\xC4\x8D \xE2\x82\xAC \xF0\x9F\x98\x80.";
  const Written w = write(*tokens, moe_test::must_encode(*tokens, text), {});
  CHECK(w.result.text == text);
  CHECK(w.all() == text);
  for (const std::string& piece : w.pieces) CHECK(moe::generate::incomplete_utf8_tail(piece) == 0);
  // Bytes that can become no character are replaced as soon as that is known, the rest at the end.
  const Written broken = write(*tokens, {0xE2, 0x82, 'x', 0xC4}, {});
  CHECK(broken.pieces == std::vector<std::string>{"", "", "\xEF\xBF\xBDx", "", "\xEF\xBF\xBD"});
  CHECK(broken.result.text == broken.all());
  const Written overlong = write(*tokens, {0xE0, 0x80, 'x'}, {});
  CHECK(overlong.all() == "\xEF\xBF\xBD\xEF\xBF\xBDx");
}

TEST_CASE("a stop text ends the reply across the borders of tokens, and nothing of it is ever shown") {
  const auto tokens = tokenizer();
  std::mt19937 random(7);
  const auto word = [&](std::size_t most) {
    std::string out;
    for (std::size_t n = 1 + random() % most; n > 0; --n) out += "ab\xC4\x8D"[random() % 2];
    return out;
  };
  for (int round = 0; round < 2000; ++round) {
    std::string text = word(12) + (round % 3 == 0 ? "\xC4\x8D" : "") + word(12);
    GenerateOptions options;
    for (std::size_t n = random() % 3; n > 0; --n) options.stop.push_back(word(4));
    const Ids ids = moe_test::must_encode(*tokens, text);
    CAPTURE(text);
    CAPTURE(options.stop);
    const Written w = write(*tokens, ids, options);
    // The first that is complete wins; of several in one token, the one that begins first.
    std::size_t at = std::string::npos;
    std::string before;
    for (const TokenId id : ids) {
      before += tokens->bytes_of(id);
      for (const std::string& stop : options.stop) at = std::min(at, before.find(stop));
      if (at != std::string::npos) break;
    }
    CHECK(w.result.text == text.substr(0, at));
    CHECK(w.all() == w.result.text);
    CHECK(w.result.end == (at == std::string::npos ? EndReason::cancelled : EndReason::stop_text));
    if (at != std::string::npos) CHECK(text.substr(at).starts_with(w.result.stop));
  }
}

TEST_CASE("end tokens, limits, and tokens that only a caller knows to end") {
  const auto tokens = tokenizer();
  const TokenId end = *tokens->eos(), tool = end - 1;
  const Written by_end = write(*tokens, {'a', end, 'b'}, {});
  CHECK(by_end.result.end == EndReason::end_token);
  CHECK(by_end.result.text == "a");
  CHECK(by_end.result.tokens == Ids{'a', end});

  const Written ignored = write(*tokens, {'a', end, 'b'}, {.end_tokens = moe::EndTokens::ignore});
  CHECK(ignored.result.text == "ab");
  const Written shown = write(*tokens, {'a', tool, 'b'}, {.special_tokens = moe::SpecialTokens::show});
  CHECK(shown.result.text == "a<|tool|>b");
  const Written own = write(*tokens, {'a', 'b', 'c'}, {.stop_tokens = {'b'}});
  CHECK(own.result.end == EndReason::end_token);
  CHECK(own.result.text == "a");
  // A stop text may name a special token that is not shown, with text around it.
  const Written named = write(*tokens, {'a', '\n', tool, 'b'}, {.stop = {"\n<|tool|>"}});
  CHECK(named.result.end == EndReason::stop_text);
  CHECK(named.result.text == "a");
  CHECK(named.all() == "a");

  const Written limited = write(*tokens, {'a', 0xC4, 0x8D}, {}, 2);
  CHECK(limited.result.end == EndReason::max_tokens);
  CHECK(limited.all() == "a\xEF\xBF\xBD");  // nothing more can come
}

TEST_CASE("log-probabilities are of the logits before sampling, over all rows, with the best tokens beside") {
  const auto tokens = tokenizer();
  auto reply = Reply::create(tokens.get(), {.sampling = {.logit_bias = {{'c', 100.0}}}, .log_probabilities = 3}, 10, 0,
                             TextStart::goes_on);
  REQUIRE(reply.has_value());
  const auto known = static_cast<std::size_t>(tokens->vocab_size());
  std::vector<float> row(known + 1, -1000.0f);
  row['a'] = 1.0f, row['b'] = 2.0f, row['c'] = 0.0f, row['d'] = 2.0f;
  row[known] = 0.0f;  // padding: no token, but the model gives it a share
  REQUIRE(reply->take(row, known).has_value());
  const auto& at = reply->result().log_probabilities.at(0);
  const double sum = std::log(std::exp(1.0) + 2 * std::exp(2.0) + 2 * std::exp(0.0));
  CHECK(at.chosen.token == 'c');
  CHECK(at.chosen.log_probability == doctest::Approx(0.0 - sum).epsilon(1e-14));
  REQUIRE(at.best.size() == 3);
  CHECK(at.best[0].token == 'b');
  CHECK(at.best[1].token == 'd');
  CHECK(at.best[2].token == 'a');
  CHECK(at.best[0].log_probability == doctest::Approx(2.0 - sum).epsilon(1e-14));
}

TEST_CASE("settings that make no sense are refused by name; a model without tokenizer has ids alone") {
  const auto refused = [](const moe::Tokenizer* t, const GenerateOptions& options, const char* name) {
    const auto made = Reply::create(t, options, 10, 0, TextStart::goes_on);
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == moe::ErrorCode::bad_argument);
    CHECK_MESSAGE(made.error().message.find(name) != std::string::npos, made.error().message);
  };
  const auto tokens = tokenizer();
  refused(nullptr, {.stop = {"x"}}, "stop");
  refused(tokens.get(), {.log_probabilities = -1}, "log_probabilities");
  refused(tokens.get(), {.sampling = {.temperature = -1}}, "temperature");
  auto reply = Reply::create(nullptr, {}, 2, 0, TextStart::goes_on);
  REQUIRE(reply.has_value());
  CHECK(reply->take(std::vector<float>{0, 1, 0}, 3)->empty());
  CHECK(reply->take(std::vector<float>{0, 0, 1}, 3)->empty());
  CHECK(reply->ended());
  CHECK(reply->result().tokens == Ids{1, 2});
}

}  // namespace reply_test

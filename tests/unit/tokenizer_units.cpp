// Small vocabularies made here: merges against a plain implementation, text there and back, added tokens, bad input.

#include <chrono>
#include <random>
#include <thread>

#include "tokenizer/bpe.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_units_test {

using namespace moe_test;
using moe::ErrorCode;
using namespace std::string_literals;

namespace {

const std::vector<std::string> kMerges = {"h e",        "l l", "he ll", "hell o", "\u0120 w", "o r",
                                          "\u0120w or", "l d", "a a",   "aa aa",  "1 2"};

// The lowest rank first, the leftmost of equals, one pair at a time.
Ids plain_merge(const moe::tokenizer::MergeTable& table, Ids ids) {
  for (;;) {
    const moe::tokenizer::MergeTable::Merge* best = nullptr;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto* merge = table.find(ids[i], ids[i + 1]);
      if (merge && (!best || merge->rank < best->rank)) {
        best = merge;
        at = i;
      }
    }
    if (!best) return ids;
    ids[at] = best->merged;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

std::string random_unicode(std::mt19937& random, std::size_t length) {
  std::string text;
  while (text.size() < length) {
    const char32_t ranges[][2] = {{0, 0x7f},       {' ', 'z'},       {0x80, 0x7ff},
                                  {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, 0x10ffff}};
    const auto& range = ranges[random() % std::size(ranges)];
    moe::append_utf8(text, range[0] + static_cast<char32_t>(random() % (range[1] - range[0] + 1)));
  }
  return text;
}

const char* const kEveryPre[] = {"gpt-2",       "llama-bpe", "qwen2",   "qwen35",       "seed-coder",
                                 "gpt-4o",      "tekken",    "kimi-k2", "deepseek-llm", "deepseek-coder",
                                 "deepseek-v3", "smollm",    "default"};

moe::Error error_of(const moe::GgufVocabulary& v) {
  const auto made = moe::Tokenizer::create(v);
  return made ? moe::Error{ErrorCode::internal, "it loaded"} : made.error();
}

}  // namespace

TEST_CASE("merges of short and long pieces equal the plain implementation") {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    moe::tokenizer::MergeTable table(60);
    for (std::uint32_t rank = 0; rank < 60; ++rank)
      table.insert(static_cast<int>(random() % 12), static_cast<int>(random() % 12), rank,
                   static_cast<int>(random() % 12), round % 2 == 0);
    for (std::size_t length : {0u, 1u, 2u, 3u, 20u, 39u, 40u, 41u, 100u, 300u}) {
      moe::tokenizer::MergeScratch scratch;
      for (std::size_t i = 0; i < length; ++i) scratch.symbols.push_back(static_cast<int>(random() % 14));
      const Ids expected = plain_merge(table, scratch.symbols);
      merge_symbols(table, scratch);
      REQUIRE(show(scratch.symbols) == show(expected));
    }
  }
}

TEST_CASE("text goes there and back, with every pre-tokenizer and from several threads") {
  for (const char* pre : kEveryPre) {
    CAPTURE(std::string(pre));
    const SharedTokenizer tokenizer = must(moe::Tokenizer::create(small_vocabulary(pre, kMerges, {"<|end|>"})));
    std::mt19937 random(11);
    std::vector<std::string> texts = {"", "\0a\0"s, "hello world", "<|end|>hello<|end|>", " \n\n \t "};
    for (int i = 0; i < 60; ++i) texts.push_back(random_unicode(random, 1 + random() % 300));
    std::vector<Ids> expected;
    for (const std::string& text : texts) {
      expected.push_back(must_encode(*tokenizer, text));
      REQUIRE(must_decode(*tokenizer, expected.back()) == text);
      REQUIRE(must_decode(*tokenizer, must_encode(*tokenizer, text, true, moe::SpecialText::plain)) == text);
    }
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int& count : wrong)
      threads.emplace_back([&] {
        for (std::size_t i = 0; i < texts.size(); ++i) {
          const auto ids = tokenizer->encode(texts[i]);
          count += !ids || *ids != expected[i];
        }
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4, 0));
  }
}

TEST_CASE("bytes that are not UTF-8 become U+FFFD as Python's errors=\"replace\" makes them") {
  const std::string r = "\xef\xbf\xbd";
  const auto check = [&](const std::string& bytes, const std::string& expected) {
    CHECK(moe::replace_invalid_utf8(bytes) == expected);
    const SharedTokenizer tokenizer = must(moe::Tokenizer::create(small_vocabulary("qwen2")));
    CHECK(must_decode(*tokenizer, must_encode(*tokenizer, bytes)) == expected);
  };
  check(
      "a\xff"
      "b",
      "a" + r + "b");
  check("\xf0\x9f\x98", r);
  check("\xf0\x9f\x98x", r + "x");
  check("\xc0\x80", r + r);
  check("\xed\xa0\x80", r + r + r);
  check("\xf4\x90\x80\x80", r + r + r + r);
  check(
      "\xe4\xbd"
      "A\x80",
      r + "A" + r);
  check("\xe4\xbd\xa0", "\xe4\xbd\xa0");
}

TEST_CASE("one word of a megabyte takes the time of a megabyte") {
  const SharedTokenizer tokenizer = must(moe::Tokenizer::create(small_vocabulary("qwen2", kMerges)));
  const std::string word(std::size_t{1} << 20, 'a');
  const auto start = std::chrono::steady_clock::now();
  const Ids ids = must_encode(*tokenizer, word);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  CHECK(ids.size() == word.size() / 4);
  CHECK(seconds.count() < 20);  // quadratic would take hours; sanitizers and a busy machine take their share
  CHECK(must_decode(*tokenizer, ids) == word);
  const auto too_long = tokenizer->encode(std::string((std::size_t{1} << 26) + 1, 'a'));
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().code == ErrorCode::bad_argument);
}

TEST_CASE("white space, marks and punctuation by the hundred thousand stay linear") {
  const std::string mark_pairs = [] {
    std::string text = "e";
    for (int i = 0; i < 100000; ++i) text += "\u0301\u0316";
    return text;
  }();
  CHECK(moe::tokenizer::normalize(mark_pairs, moe::tokenizer::Normalization::nfc).has_value());
  for (const char* pre : kEveryPre) {
    const SharedTokenizer tokenizer = must(moe::Tokenizer::create(small_vocabulary(pre, kMerges)));
    for (const char* part : {" ", "\n", " \n", "!", "1", "'", "\u3000", "\u0301", "\u200b", "a "}) {
      std::string text;
      for (int i = 0; i < 100000; ++i) text += part;
      CHECK(must_decode(*tokenizer, must_encode(*tokenizer, text)) == text);
    }
  }
}

TEST_CASE("normalisation") {
  using moe::tokenizer::Normalization;
  using moe::tokenizer::normalize;
  CHECK(*normalize("e\u0301", Normalization::nfc) == "\u00e9");
  CHECK(*normalize("\u00e9", Normalization::nfd) == "e\u0301");
  CHECK(*normalize("\ufb01\u00b2", Normalization::nfkc) == "fi2");
  CHECK(*normalize("\ufb01\u00b2", Normalization::nfc) == "\ufb01\u00b2");
  CHECK(*normalize("\u1112\u1161\u11ab", Normalization::nfc) == "\ud55c");
  CHECK(*normalize("a\u0301\u0316", Normalization::nfc) == "\u00e1\u0316");
  CHECK(*normalize("a\u0316\u0301", Normalization::nfc) == "\u00e1\u0316");
  CHECK(*normalize("\u0958\0x"s, Normalization::nfc) == "\u0915\u093c\0x"s);
}

TEST_CASE("names: aliases mean the same, unknown ones are refused with the list") {
  const auto print = [](const char* pre) {
    return must(moe::Tokenizer::create(small_vocabulary(pre, kMerges)))->fingerprint();
  };
  CHECK(print("llama3") == print("llama-bpe"));
  CHECK(print("llama-v3") == print("llama-bpe"));
  CHECK(print("deepseek-r1-qwen") == print("qwen2"));
  CHECK(print("qwen2") != print("llama-bpe"));
  CHECK(print("dbrx") != print("llama-bpe"));
  CHECK(print("chatglm-bpe") == print("dbrx"));
  CHECK(print("glm4") != print("dbrx"));
  CHECK(print("glm5") == print("glm4"));
  const moe::Error error = error_of(small_vocabulary("no\nsuch"));
  CHECK(error.code == ErrorCode::unsupported);
  for (const char* pre : kEveryPre) CHECK(error.message.find(pre) != std::string::npos);
  CHECK(error.message.find('\n') == std::string::npos);
}

TEST_CASE("a vocabulary that lacks what decides how text is cut is no vocabulary") {
  auto v = small_vocabulary("qwen2", kMerges, {"<|end|>"});
  const auto check = [](const moe::GgufVocabulary& broken, const std::string& key) {
    const moe::Error error = error_of(broken);
    CHECK(error.code == ErrorCode::bad_file);
    CHECK_MESSAGE(error.message.find("tokenizer.ggml." + key + " is missing") == 0, error.message);
  };
  auto broken = v;
  broken.pre.clear();
  check(broken, "pre");
  broken = v;
  broken.merges.clear();
  check(broken, "merges");
  broken = v;
  broken.types.clear();
  check(broken, "token_type");
  // Nothing lacks where there are but single bytes: no merge could be.
  CHECK(must_encode(*must(moe::Tokenizer::create(small_vocabulary("qwen2"))), "ab") == Ids{'a', 'b'});
}

TEST_CASE("padding behind the vocabulary is no part of it, end tokens may lie in it") {
  auto v = small_vocabulary("qwen2", kMerges, {"<|end|>"});
  const auto count = static_cast<std::int64_t>(v.tokens.size());
  const std::uint64_t print = must(moe::Tokenizer::create(v))->fingerprint();
  for (int i = 0; i < 7; ++i) {
    v.tokens.push_back("[PAD" + std::to_string(v.tokens.size()) + "]");
    v.types.push_back(5);
  }
  CHECK(must(moe::Tokenizer::create(v))->vocab_size() == count);
  CHECK(must(moe::Tokenizer::create(v))->fingerprint() == print);
  const SharedTokenizer stops = must(moe::Tokenizer::create(v, {count + 7, {{"eot", {count + 6}}}}));
  CHECK(stops->is_stop(static_cast<int>(count) + 6));
  v.eos = static_cast<int>(count) + 2;  // named: no padding
  CHECK(must(moe::Tokenizer::create(v))->vocab_size() == count + 3);
  v.types.back() = 1;
  CHECK(must(moe::Tokenizer::create(v))->vocab_size() == count + 7);
}

TEST_CASE("end tokens: the union of all that is named, each within the model's rows") {
  auto v = small_vocabulary("qwen2", kMerges, {"<a>", "<b>", "<c>"});
  const int a = static_cast<int>(v.tokens.size()) - 3;
  v.eos = a + 1;
  const auto none = must(moe::Tokenizer::create(v));
  CHECK(none->stop_ids() == Ids{a + 1});
  const auto all = must(moe::Tokenizer::create(v, {300, {{"g", {a + 2, a + 1}}, {"c", {a, 299}, false}}}));
  CHECK(all->stop_ids() == Ids{a, a + 1, a + 2, 299});
  CHECK(all->generate_stop_ids() == Ids{a + 1, a + 2});
  CHECK(all->eos() == a + 1);
  CHECK((all->is_stop(a) && all->is_stop(299) && !all->is_stop('a') && !all->is_stop(-1)));
  CHECK(all->fingerprint() != none->fingerprint());  // replies end elsewhere
  for (const std::int64_t id : {std::int64_t{300}, std::int64_t{-1}, std::int64_t{1} << 40}) {
    const auto refused = moe::Tokenizer::create(v, {300, {{"some.json: some key", {a, id}}}});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message == "some.json: some key is " + std::to_string(id) + ", expected an id from 0 to 299");
  }
}

TEST_CASE("a token without a row in the model is refused where a text has it, and at once where every text would") {
  auto v = small_vocabulary("qwen2", kMerges, {"<a>", "<b>"});
  const int b = static_cast<int>(v.tokens.size()) - 1;
  const SharedTokenizer tokenizer = must(moe::Tokenizer::create(v, {b, {}}));
  CHECK(must_encode(*tokenizer, "a<a>") == Ids{'a', b - 1});
  const auto refused = tokenizer->encode("a<b>");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("'<b>'") != std::string::npos);
  CHECK(must_encode(*tokenizer, "<b>", false, moe::SpecialText::plain) == Ids{'<', 'b', '>'});
  v.bos = b;
  CHECK_FALSE(moe::Tokenizer::create(v, {b, {}}).has_value());
}

TEST_CASE("the bytes of one token, and which tokens are control tokens") {
  auto v = small_vocabulary("qwen2", kMerges, {"<|end|>"});
  const int end = static_cast<int>(v.tokens.size()) - 1;
  const SharedTokenizer tokenizer = must(moe::Tokenizer::create(v));
  CHECK(tokenizer->bytes_of(0xe4) == "\xe4");
  CHECK(tokenizer->bytes_of(*tokenizer->find("\u0120wor")) == " wor");
  CHECK(tokenizer->bytes_of(end) == "<|end|>");
  CHECK((tokenizer->bytes_of(-1).empty() && tokenizer->bytes_of(end + 1).empty()));
  CHECK((tokenizer->is_control(end) && !tokenizer->is_control('a') && !tokenizer->is_control(end + 1)));
}

TEST_CASE("BOS and EOS of a GGUF vocabulary") {
  auto v = small_vocabulary("llama-bpe", kMerges, {"<s>", "</s>"});
  v.bos = static_cast<int>(v.tokens.size()) - 2;
  v.eos = *v.bos + 1;
  const auto ids = [](const moe::GgufVocabulary& vocabulary) {
    return must_encode(*must(moe::Tokenizer::create(vocabulary)), "a", true);
  };
  const moe::TokenId a = 'a';
  CHECK(ids(v) == Ids{*v.bos, a});
  CHECK(must(moe::Tokenizer::create(v))->adds_bos());
  v.add_bos = false;
  CHECK(ids(v) == Ids{a});
  v.add_eos = true;
  CHECK(ids(v) == Ids{a, *v.eos});
  v.add_bos.reset();
  v.pre = "qwen2";
  CHECK(ids(v) == Ids{a, *v.eos});
  CHECK_FALSE(must(moe::Tokenizer::create(v))->adds_bos());
  v.pre = "glm4";
  CHECK_FALSE(must(moe::Tokenizer::create(v))->adds_bos());
  CHECK(must_decode(*must(moe::Tokenizer::create(v)), {*v.bos, a, *v.eos}, true) == "a");
}

namespace {

const moe::GgufVocabulary kGood = small_vocabulary("gpt-2", kMerges, {"<s>"});

void check_refused(const moe::GgufVocabulary& v, ErrorCode code, const char* part) {
  const moe::Error error = error_of(v);
  CHECK(error.code == code);
  CHECK_MESSAGE(error.message.find(part) != std::string::npos, error.message);
  CHECK(error.message.find('\n') == std::string::npos);
  CHECK(error.message.size() < 400);
}

}  // namespace

TEST_CASE("GGUF vocabularies with bad tokens, or of a model that is not known, are refused in one line") {
  auto v = kGood;
  for (const auto& [model, kind] : {std::pair{"t5", " (Unigram)"},
                                    {"bert", " (WordPiece)"},
                                    {"rwkv", ""},
                                    {"plamo2", ""},
                                    {"", ""},
                                    {"Llama", ""}}) {
    v.model = model;
    check_refused(v, ErrorCode::unsupported, ("'" + std::string(model) + "'" + kind + "; known are gpt2").c_str());
  }
  v = kGood;
  v.tokens.clear();
  check_refused(v, ErrorCode::bad_file, "empty");
  v = kGood;
  v.types.pop_back();
  check_refused(v, ErrorCode::bad_file, "token_type");
  for (std::int32_t type : {-1, 7, 1 << 30}) {
    v = kGood;
    v.types[5] = type;
    check_refused(v, ErrorCode::bad_file, "type");
  }
  for (const char* text : {"<0x-1>", "<0xGG>", "<0x1>", "<0x100>", "<0x>", "", "0x41"}) {
    v = kGood;
    v.tokens.push_back(text);
    v.types.push_back(6);
    check_refused(v, ErrorCode::bad_file, "byte token");
  }
  for (moe::TokenId id : {-1, static_cast<int>(kGood.tokens.size()), 0x7fffffff}) {
    v = kGood;
    v.eos = id;
    check_refused(v, ErrorCode::bad_file, "eos");
    v = kGood;
    v.bos = id;
    check_refused(v, ErrorCode::bad_file, "bos");
  }
  v = kGood;
  v.tokens.push_back(std::string(5000, 'x'));
  v.types.push_back(3);
  check_refused(v, ErrorCode::bad_file, "special token");
}

TEST_CASE("GGUF vocabularies with bad merges are refused in one line") {
  moe::GgufVocabulary v;
  for (const char* merge : {"x zz", "zz x", "z q"}) {
    v = kGood;
    v.merges.push_back(merge);
    check_refused(v, ErrorCode::bad_file, "vocabulary has not");
  }
  for (const char* merge : {"", " ", "ab", "a ", " a"}) {
    v = kGood;
    v.merges.push_back(merge);
    check_refused(v, ErrorCode::bad_file, "merge");
  }
  v = kGood;
  v.merges.push_back(std::string(100000, 'a') + " \n\xff");
  check_refused(v, ErrorCode::bad_file, "merge");
}

TEST_CASE("odd GGUF vocabularies that load: duplicates, empty and broken tokens, missing bytes") {
  auto v = small_vocabulary("gpt-2", kMerges, {"<s>", "", "bad\xff", "<s>"});
  v.tokens.push_back("<0x0A>");
  v.types.push_back(6);
  v.tokens.push_back("h");  // a second "h"
  v.types.push_back(1);
  v.tokens.push_back("\xff\xfe");
  v.types.push_back(1);
  const SharedTokenizer tokenizer = must(moe::Tokenizer::create(v));
  CHECK(must_decode(*tokenizer, must_encode(*tokenizer, "hello<s>world")) == "hello<s>world");
  Ids all;
  for (std::int64_t id = 0; id < tokenizer->vocab_size(); ++id) all.push_back(static_cast<int>(id));
  CHECK(must_decode(*tokenizer, all).size() > 256);
  for (const Ids& ids : {Ids{-1}, Ids{0, static_cast<int>(v.tokens.size())}, Ids{0x7fffffff}, Ids{-0x7fffffff - 1}}) {
    const auto text = tokenizer->decode(ids);
    REQUIRE_FALSE(text.has_value());
    CHECK(text.error().code == ErrorCode::bad_argument);
  }
  v = small_vocabulary("gpt-2");
  v.tokens['b'] = "";  // no token for this byte: dropped, as the reference implementations do
  CHECK(must_encode(*must(moe::Tokenizer::create(v)), "abc") == Ids{'a', 'c'});
}

}  // namespace tokenizer_units_test

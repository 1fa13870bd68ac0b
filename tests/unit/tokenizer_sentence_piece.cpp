// SentencePiece's BPE on small vocabularies made here: merges against a plain implementation, byte tokens, spaces, bad input.

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <limits>
#include <random>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "convert/convert.hpp"
#include "tokenizer_support.hpp"

namespace tokenizer_sentence_piece_test {

using namespace moe_test;
using moe::ErrorCode;

namespace {

constexpr const char* kSpace = "\u2581";

void add(moe::GgufVocabulary& v, const std::string& text, float score, int type = 1) {
  v.tokens.push_back(text);
  v.scores.push_back(score);
  v.types.push_back(type);
}

moe::TokenId byte_id(unsigned char byte) { return 3 + byte; }

/// <unk> <s> </s>, the 256 byte tokens, then the pieces with their scores.
moe::GgufVocabulary piece_vocabulary(const std::vector<std::pair<std::string, float>>& pieces) {
  moe::GgufVocabulary v;
  v.model = "llama";
  v.pre = "default";
  add(v, "<unk>", 0, 2);
  add(v, "<s>", 0, 3);
  add(v, "</s>", 0, 3);
  for (int b = 0; b < 256; ++b) {
    const char* const digits = "0123456789ABCDEF";
    add(v, std::string("<0x") + digits[b / 16] + digits[b % 16] + ">", 0, 6);
  }
  for (const auto& [text, score] : pieces) add(v, text, score);
  v.bos = 1;
  v.eos = 2;
  v.unk = 0;
  return v;
}

moe::GgufVocabulary hello_vocabulary() {
  return piece_vocabulary({{"\u2581h", -1},
                           {"el", -2},
                           {"lo", -3},
                           {"\u2581hel", -4},
                           {"\u2581hello", -5},
                           {"ab", -6},
                           {"bc", -6},
                           {"\u2581\u2581", -7},
                           {"\u00e9a", -8},
                           {kSpace, -20},
                           {"h", -21},
                           {"e", -22},
                           {"l", -23},
                           {"o", -24},
                           {"a", -25},
                           {"b", -26},
                           {"c", -27}});
}

moe::TokenId id_of(const moe::GgufVocabulary& v, const std::string& text) {
  for (std::size_t id = 0; id < v.tokens.size(); ++id)
    if (v.tokens[id] == text) return static_cast<moe::TokenId>(id);
  FAIL("no token " << text);
  return -1;
}

SharedTokenizer load(const moe::GgufVocabulary& v) { return must(moe::Tokenizer::create(v)); }

// The best score first, the leftmost of equals, one pair at a time, on the whole text.
Ids plain_encode(const moe::GgufVocabulary& v, const std::string& text) {
  std::vector<std::string> parts;
  const auto symbol = [](char c) { return c == ' ' ? std::string(kSpace) : std::string(1, c); };
  parts.push_back(kSpace);
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0) == 0x80)
      parts.back() += c;
    else
      parts.push_back(symbol(c));
  }
  const auto find = [&](const std::string& piece) {
    int found = -1;
    for (std::size_t id = 259; id < v.tokens.size(); ++id)
      if (v.tokens[id] == piece) found = static_cast<int>(id);
    return found;
  };
  for (;;) {
    float best = -std::numeric_limits<float>::infinity();
    std::size_t at = parts.size();
    for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
      const int id = find(parts[i] + parts[i + 1]);
      if (id >= 0 && v.scores[static_cast<std::size_t>(id)] > best) {
        best = v.scores[static_cast<std::size_t>(id)];
        at = i;
      }
    }
    if (at == parts.size()) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  Ids ids;
  for (const std::string& part : parts) {
    if (const int id = find(part); id >= 0)
      ids.push_back(id);
    else
      for (char c : part) ids.push_back(byte_id(static_cast<unsigned char>(c)));
  }
  return ids;
}

moe::Error error_of(const moe::GgufVocabulary& v) {
  const auto made = moe::Tokenizer::create(v);
  return made ? moe::Error{ErrorCode::internal, "it loaded"} : made.error();
}

}  // namespace

TEST_CASE("SentencePiece: merges by score, bytes for characters without a token") {
  const auto v = hello_vocabulary();
  const SharedTokenizer tokenizer = load(v);
  const auto id = [&](const char* text) { return id_of(v, text); };
  CHECK(must_encode(*tokenizer, "").empty());
  CHECK(must_encode(*tokenizer, "hello") == Ids{id("\u2581hello")});
  CHECK(must_encode(*tokenizer, " hello") == Ids{id(kSpace), id("\u2581hello")});
  CHECK(must_encode(*tokenizer, "  ") == Ids{id("\u2581\u2581"), id(kSpace)});
  CHECK(must_encode(*tokenizer, "abc") == Ids{id(kSpace), id("ab"), id("c")});  // equal scores: the left pair
  CHECK(must_encode(*tokenizer, "\u00e9") == Ids{id(kSpace), byte_id(0xc3), byte_id(0xa9)});
  CHECK(must_encode(*tokenizer, "\u00e9a") == Ids{id(kSpace), id("\u00e9a")});  // the character alone is no token
  CHECK(must_encode(*tokenizer, "\n<0x0A>") == Ids{id(kSpace), byte_id('\n'), byte_id('<'), byte_id('0'), byte_id('x'),
                                                   byte_id('0'), byte_id('A'), byte_id('>')});
  CHECK(must_encode(*tokenizer, "\xff") == Ids{id(kSpace), byte_id(0xef), byte_id(0xbf), byte_id(0xbd)});
  CHECK(tokenizer->vocab_size() == static_cast<std::int64_t>(v.tokens.size()));
  CHECK(tokenizer->find("</s>") == 2);
}

TEST_CASE("SentencePiece: BOS, EOS, tokens found as a whole, the space in front") {
  auto v = hello_vocabulary();
  add(v, "<user>", 0, 4);
  add(v, "s>", -30);
  add(v, "</", -31);
  const auto id = [&](const char* text) { return id_of(v, text); };
  const moe::TokenId space = id(kSpace), a = id("a"), b = id("b"), user = id("<user>");
  CHECK(must_encode(*load(v), "a", true) == Ids{1, space, a});  // BOS is the default of such files
  CHECK(load(v)->adds_bos());
  CHECK(must_encode(*load(v), "a</s>b<user>") == Ids{space, a, 2, space, b, user});
  // As plain text, a control token is what its letters are: no merge leads to it, though its text is a token's.
  CHECK(must_encode(*load(v), "</s>", false, moe::SpecialText::plain) == Ids{space, id("</"), id("s>")});
  CHECK(must_encode(*load(v), "<user>b", false, moe::SpecialText::plain) == Ids{user, space, b});
  const SharedTokenizer tokenizer = load(v);
  CHECK(must_decode(*tokenizer, {1, space, a, 2}) == "<s> a</s>");
  CHECK(must_decode(*tokenizer, {1, space, a, 2}, true) == "a");
  CHECK(must_decode(*tokenizer, {space, space, a}) == " a");
  CHECK(must_decode(*tokenizer, {byte_id(0xc3), byte_id(0xa9)}) == "\u00e9");
  CHECK(tokenizer->decode_more(id("\u2581hello")).value() == " hello");
  for (const Ids& ids : {Ids{-1}, Ids{0, static_cast<int>(v.tokens.size())}, Ids{0x7fffffff}}) {
    REQUIRE_FALSE(tokenizer->decode(ids).has_value());
    CHECK(tokenizer->decode(ids).error().code == ErrorCode::bad_argument);
  }
  const auto print = tokenizer->fingerprint();
  CHECK(load(v)->fingerprint() == print);
  v.add_space_prefix = false;
  CHECK(load(v)->fingerprint() != print);
  CHECK(must_encode(*load(v), "a b") == Ids{a, space, b});
  CHECK(must_decode(*load(v), {space, a}) == " a");
  v.add_bos = false;
  v.add_eos = true;
  CHECK(must_encode(*load(v), "a", true) == Ids{a, 2});
  CHECK_FALSE(load(v)->adds_bos());
  v.scores[static_cast<std::size_t>(id("bc"))] = -5.5f;
  CHECK(must_encode(*load(v), "abc") == Ids{a, id("bc")});
}

TEST_CASE("SentencePiece: random vocabularies and texts equal the plain implementation, and go there and back") {
  std::mt19937 random(5);
  const std::string letters[] = {"a", "b", "c", kSpace, "\u00e9", "\u4f60"};
  for (int round = 0; round < 60; ++round) {
    std::vector<std::pair<std::string, float>> pieces = {
        {kSpace, -20}};  // else a space decodes to U+2581, as elsewhere
    for (int i = 0; i < 5 + round; ++i) {
      std::string text;
      const std::size_t length = 1 + random() % (1 + static_cast<unsigned>(round) % 5);
      // In every other round U+2581 occurs at the beginning alone, which lets texts be cut at spaces.
      for (std::size_t k = 0; k < length; ++k) text += letters[random() % 6];
      if (round % 2 == 0)
        while (text.rfind(kSpace) != std::string::npos && text.rfind(kSpace) > 0) text.erase(text.rfind(kSpace), 3);
      pieces.emplace_back(text, -static_cast<float>(random() % 20));
    }
    const auto v = piece_vocabulary(pieces);
    const SharedTokenizer tokenizer = load(v);
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (std::size_t k = random() % 40; k > 0; --k) {
        const std::string& letter = letters[random() % 6];
        text += letter == kSpace ? " " : letter;
      }
      CAPTURE(text);
      if (text.empty()) continue;
      REQUIRE(show(must_encode(*tokenizer, text)) == show(plain_encode(v, text)));
      REQUIRE(must_decode(*tokenizer, must_encode(*tokenizer, text)) == text);
    }
  }
}

TEST_CASE("SentencePiece: a megabyte without a space takes the time of a megabyte") {
  auto v = hello_vocabulary();
  add(v, "aa", -1);
  add(v, "aaaa", -0.5f);
  const SharedTokenizer tokenizer = load(v);
  for (const char* part : {"a", " ", "\u4f60", "a "}) {
    std::string text;
    while (text.size() < std::size_t{1} << 20) text += part;
    const auto start = std::chrono::steady_clock::now();
    CHECK(must_decode(*tokenizer, must_encode(*tokenizer, text)) == text);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CHECK(seconds.count() < 20);  // quadratic would take hours
  }
  const auto too_long = tokenizer->encode(std::string((std::size_t{1} << 26) + 1, 'a'));
  REQUIRE_FALSE(too_long.has_value());
  CHECK(too_long.error().code == ErrorCode::bad_argument);
}

TEST_CASE("SentencePiece: bad vocabularies are refused in one line") {
  const auto good = hello_vocabulary();
  REQUIRE(moe::Tokenizer::create(good).has_value());
  const auto check = [](const moe::GgufVocabulary& v, const char* part) {
    const moe::Error error = error_of(v);
    CHECK(error.code == ErrorCode::bad_file);
    CHECK_MESSAGE(error.message.find(part) != std::string::npos, error.message);
    CHECK(error.message.find('\n') == std::string::npos);
  };
  auto v = good;
  v.scores.clear();
  check(v, "tokenizer.ggml.scores is missing");
  v = good;
  v.scores.pop_back();
  check(v, "tokenizer.ggml.scores has 275 entries for 276 tokens");
  v = good;
  v.types.clear();
  check(v, "tokenizer.ggml.token_type is missing");
  v = good;
  v.types.pop_back();
  check(v, "tokenizer.ggml.token_type has 275 entries");
  for (float score : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    v = good;
    v.scores[270] = score;
    check(v, "score of token 270");
  }
  for (std::int32_t type : {-1, 7, 1 << 30}) {
    v = good;
    v.types[5] = type;
    check(v, "token 5 has the unknown type");
  }
  v = good;
  for (std::int32_t& type : v.types)
    if (type == 6) type = 1;
  check(v, "no byte token <0x00>");
  v = good;
  v.types[static_cast<std::size_t>(byte_id(0xab))] = 1;
  check(v, "no byte token <0xAB>");
  v = good;
  v.tokens[7] = "<0x1>";
  check(v, "token 7 is a byte token");
  v = good;
  add(v, std::string(5000, 'x'), 0);
  check(v, "token 276 has 5000 bytes");
  v = good;
  v.bos = static_cast<int>(v.tokens.size());
  check(v, "bos_token_id");
}

TEST_CASE("SentencePiece: odd vocabularies that load: duplicates, empty and broken tokens") {
  auto v = hello_vocabulary();
  for (const char* text : {"", "\xff\xfe", "a", "bad\xff", "<s>"})
    for (int type : {1, 3, 4, 5}) add(v, text, 0, type);
  const SharedTokenizer tokenizer = load(v);
  CHECK(must_decode(*tokenizer, must_encode(*tokenizer, "hello \u00e9")) == "hello \u00e9");
  Ids all;
  for (std::int64_t id = 0; id < tokenizer->vocab_size(); ++id) all.push_back(static_cast<int>(id));
  CHECK(must_decode(*tokenizer, all).size() > 256);
}

TEST_CASE("SentencePiece: scores and flags are read from a GGUF file, and carried through to another") {
  using namespace moe::checkpoint;
  const auto v = hello_vocabulary();
  const std::string path = std::filesystem::temp_directory_path() / ("moe_spm_" + std::to_string(getpid()) + ".gguf");
  const auto write = [&](const GgufMetadata& metadata) {
    auto file = moe::OutputFile::create(path);
    REQUIRE(file.has_value());
    auto writer = GgufWriter::begin(std::move(*file), metadata, {});
    REQUIRE(writer.has_value());
    REQUIRE(writer->finish().has_value());
    auto opened = open(path);
    REQUIRE(opened.has_value());
    std::filesystem::remove(path);
    return std::move(*opened);
  };
  const auto metadata_of = [&](std::size_t score_count, std::optional<bool> add_space_prefix) {
    GgufMetadata metadata;
    metadata.text("general.architecture", "llama");
    metadata.text("tokenizer.ggml.model", "llama");
    metadata.texts("tokenizer.ggml.tokens", v.tokens);
    metadata.integers("tokenizer.ggml.token_type", v.types);
    std::vector<std::byte> scores(16 + 4 * score_count);  // an array (9) of float32 (6)
    const std::uint32_t types[] = {9, 6};
    const std::uint64_t count = score_count;
    std::memcpy(scores.data(), types, 8);
    std::memcpy(scores.data() + 8, &count, 8);
    std::memcpy(scores.data() + 16, v.scores.data(), 4 * score_count);
    metadata.raw("tokenizer.ggml.scores", scores);
    metadata.u32("tokenizer.ggml.bos_token_id", 1);
    metadata.u32("tokenizer.ggml.eos_token_id", 2);
    if (add_space_prefix) metadata.boolean("tokenizer.ggml.add_space_prefix", *add_space_prefix);
    return metadata;
  };
  auto without = v;
  without.add_space_prefix = false;
  for (const auto& [flag, same] : {std::pair{std::optional<bool>(), &v}, {std::optional<bool>(false), &without}}) {
    const auto file = write(metadata_of(v.tokens.size(), flag));
    CHECK(must(file->load_tokenizer())->fingerprint() == load(*same)->fingerprint());
  }
  const auto first = write(metadata_of(v.tokens.size(), false));
  auto copied = moe::convert::metadata_of_gguf(*first);
  REQUIRE(copied.has_value());
  CHECK(must(write(*copied)->load_tokenizer())->fingerprint() == load(without)->fingerprint());
  const auto refused = write(metadata_of(v.tokens.size() - 1, false))->load_tokenizer();
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().message.find("tokenizer.ggml.scores has 275 elements") != std::string::npos);
}

}  // namespace tokenizer_sentence_piece_test

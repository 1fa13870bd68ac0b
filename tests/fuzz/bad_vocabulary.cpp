// Vocabularies that must be refused, in GGUF metadata.

#include <functional>

#include "bad_input.hpp"
#include "writers.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;

struct VocabularyCase {
  std::string name;
  GgufEntry entry;  ///< replaces the one of this key
  std::vector<std::string> says;
  ErrorCode code = ErrorCode::bad_file;
};

const std::string kPrefix = "tokenizer.ggml.";

}  // namespace

TEST_CASE("vocabularies with wrong types, lengths and ids") {
  const std::vector<VocabularyCase> cases = {
      {"model is a number", u32_entry(kPrefix + "model", 1), {"model", "integer 1", "string"}},
      {"pre is a number", u32_entry(kPrefix + "pre", 1), {"pre", "integer 1", "string"}},
      {"tokens are numbers",
       array_entry<std::int32_t>(kPrefix + "tokens", kI32, {1, 2}),
       {"tokens", "array of 2 integers", "array of strings"}},
      {"tokens are one string", string_entry(kPrefix + "tokens", "abc"), {"tokens", "string", "array of strings"}},
      {"no tokens", array_entry<std::string>(kPrefix + "tokens", kString, {}), {"tokens", "0 elements"}},
      {"types are strings",
       array_entry<std::string>(kPrefix + "token_type", kString, {"1"}),
       {"token_type", "array of integers"}},
      {"types are numbers with a point",
       array_entry<float>(kPrefix + "token_type", kF32, {1, 1, 1, 1, 1}),
       {"token_type", "array of integers"}},
      {"fewer types than tokens",
       array_entry<std::int32_t>(kPrefix + "token_type", kI32, {1, 1, 1}),
       {"token_type", "3 elements", "5 tokens"}},
      {"more types than tokens",
       array_entry<std::int32_t>(kPrefix + "token_type", kI32, {1, 1, 1, 1, 1, 1}),
       {"token_type", "6 elements", "5 tokens"}},
      {"unknown type",
       array_entry<std::int32_t>(kPrefix + "token_type", kI32, {1, 1, 1, 1, 7}),
       {"token_type", "7", "0 to 6"}},
      {"negative type",
       array_entry<std::int32_t>(kPrefix + "token_type", kI32, {1, 1, 1, 1, -1}),
       {"token_type", "-1"}},
      {"fewer scores than tokens",
       array_entry<float>(kPrefix + "scores", kF32, {0.0f}),
       {"scores", "1 elements", "5 tokens"}},
      {"scores are strings",
       array_entry<std::string>(kPrefix + "scores", kString, {"0"}),
       {"scores", "array of numbers"}},
      {"merges are numbers", array_entry<std::int32_t>(kPrefix + "merges", kI32, {1}), {"merges", "array of strings"}},
      {"bos = number of tokens", u32_entry(kPrefix + "bos_token_id", 5), {"bos_token_id", "5", "[0, 4]"}},
      {"eos = 2^32-1", u32_entry(kPrefix + "eos_token_id", 0xffffffffu), {"eos_token_id", "4294967295", "[0, 4]"}},
      {"eos list beyond the tokens",
       array_entry<std::int32_t>(kPrefix + "eos_token_id", kI32, {4, 5}),
       {"eos_token_id", "5", "[0, 4]"}},
      {"eot = number of tokens", u32_entry(kPrefix + "eot_token_id", 5), {"eot_token_id", "5", "[0, 4]"}},
      {"eom is a string", string_entry(kPrefix + "eom_token_id", "4"), {"eom_token_id", "string"}},
      {"bos is a list", array_entry<std::int32_t>(kPrefix + "bos_token_id", kI32, {1}), {"bos_token_id", "array"}},
      {"eos is a float", number_entry<float>(kPrefix + "eos_token_id", kF32, 4.0f), {"eos_token_id", "number 4"}},
      {"add_bos is a number", u32_entry(kPrefix + "add_bos_token", 1), {"add_bos_token", "true or false"}},
      {"no vocabulary", string_entry(kPrefix + "model", "no_vocab"), {"no_vocab"}, ErrorCode::not_found},
      {"unknown model", string_entry(kPrefix + "model", "rwkv"), {"rwkv"}, ErrorCode::unsupported},
      {"unknown pre-tokenizer",
       string_entry(kPrefix + "pre", "no-such-regex"),
       {"no-such-regex"},
       ErrorCode::unsupported},
      {"merge of an absent token", array_entry<std::string>(kPrefix + "merges", kString, {"a x"}), {}},
      {"merge into an absent token", array_entry<std::string>(kPrefix + "merges", kString, {"b c"}), {}},
      {"merge without a space", array_entry<std::string>(kPrefix + "merges", kString, {"ab"}), {}},
      {"empty merge", array_entry<std::string>(kPrefix + "merges", kString, {""}), {}},
  };
  for (const VocabularyCase& c : cases) {
    CAPTURE(c.name);
    GgufFile f = small_gguf();
    f.entry(c.entry.key) = c.entry;
    const MemoryFile file(f.bytes());
    const auto opened = moe::checkpoint::open(file.path());
    REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
    check_refused((*opened)->load_tokenizer(), c.code, c.says);
  }
}

TEST_CASE("keys that decide how text is cut must be there") {
  for (const char* key : {"model", "pre", "tokens", "token_type", "merges"}) {
    CAPTURE(key);
    GgufFile f = small_gguf();
    std::erase_if(f.metadata, [&](const GgufEntry& entry) { return entry.key == kPrefix + key; });
    const MemoryFile file(f.bytes());
    const auto tokenizer = (*moe::checkpoint::open(file.path()))->load_tokenizer();
    REQUIRE_FALSE(tokenizer.has_value());
    CHECK_MESSAGE(tokenizer.error().message.find(kPrefix + key) != std::string::npos, tokenizer.error().message);
    CHECK(is_one_printable_line(tokenizer.error().message));
  }
}

TEST_CASE("ids that nothing needs may be anything; eos, eot and eom, one or several, end a reply") {
  const auto load = [](const std::vector<GgufEntry>& entries) {
    GgufFile f = small_gguf();
    for (const GgufEntry& e : entries) f.entry(e.key) = e;
    const MemoryFile file(f.bytes());
    auto tokenizer = (*moe::checkpoint::open(file.path()))->load_tokenizer();
    REQUIRE_MESSAGE(tokenizer.has_value(), tokenizer.error().message);
    return *tokenizer;
  };
  using Ids = std::vector<moe::TokenId>;
  for (const char* key : {"padding", "unknown", "seperator", "mask", "fim_pre"}) {
    const std::string name = kPrefix + key + "_token_id";
    CHECK(load({u32_entry(name, 5)})->stop_ids() == Ids{4});
    CHECK(load({number_entry<std::int32_t>(name, kI32, -1)})->stop_ids() == Ids{4});
  }
  CHECK(load({u32_entry(kPrefix + "eot_token_id", 3), u32_entry(kPrefix + "eom_token_id", 0)})->stop_ids() ==
        Ids{0, 3, 4});
  const auto listed = load({array_entry<std::int32_t>(kPrefix + "eos_token_id", kI32, {4, 2}),
                            array_entry<std::int64_t>(kPrefix + "eot_token_id", kI64, {1})});
  CHECK(listed->stop_ids() == Ids{1, 2, 4});
  CHECK(listed->generate_stop_ids() == Ids{1, 2, 4});
  CHECK(listed->eos() == 4);
}

TEST_CASE("odd tokens do not crash a vocabulary") {
  for (const std::vector<std::string>& tokens :
       {std::vector<std::string>{"<0x-1>", "<0xGG>", "<0x100>", "<0x", ""},
        {"a", "a", "a", "a", "a"},
        {"", "", "", "", ""},
        {"\xff\xfe", "\xc0\x80", "\xed\xa0\x80", std::string("\0", 1), std::string(100000, 'x')}})
    for (const std::int32_t type : {1, 3, 4, 6}) {
      GgufFile f = small_gguf();
      f.entry(kPrefix + "tokens") = array_entry(kPrefix + "tokens", kString, tokens);
      f.entry(kPrefix + "token_type") =
          array_entry<std::int32_t>(kPrefix + "token_type", kI32, std::vector<std::int32_t>(5, type));
      f.entry(kPrefix + "merges") = array_entry<std::string>(kPrefix + "merges", kString, {});
      const MemoryFile file(f.bytes());
      const auto opened = moe::checkpoint::open(file.path());
      REQUIRE_MESSAGE(opened.has_value(), opened.error().message);
      const auto tokenizer = (*opened)->load_tokenizer();
      if (!tokenizer) {
        CHECK(is_one_printable_line(tokenizer.error().message));
        continue;
      }
      for (const std::string& text : {std::string(), std::string("abc \xff\x00<0x-1>", 12), std::string(3000, 'a')}) {
        const auto ids = (*tokenizer)->encode(text, {.ends = moe::TextEnds::as_model});
        if (ids)
          for (const moe::TokenId id : *ids) CHECK((id >= 0 && id < (*tokenizer)->vocab_size()));
      }
      CHECK_FALSE((*tokenizer)->decode(-1).has_value());
      CHECK_FALSE((*tokenizer)->decode(5).has_value());
    }
}

#pragma once
// What the tokenizer tests share: the vocabulary arrays of a GGUF file, texts with their expected ids.

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "support.hpp"

namespace moe_test {

/// The tokenizer.ggml.* entries of a good GGUF file. Apart from src/checkpoint on purpose: a mistake there must not
/// hide here.
class GgufVocabularyFile {
 public:
  static moe::GgufVocabulary read(const std::filesystem::path& path) {
    GgufVocabularyFile file(path);
    return file.parse();
  }

 private:
  explicit GgufVocabularyFile(const std::filesystem::path& path) : in_(path, std::ios::binary) {
    REQUIRE_MESSAGE(in_.good(), "cannot read " << path);
  }

  template <class T>
  T number() {
    T value{};
    in_.read(reinterpret_cast<char*>(&value), sizeof value);
    if (!in_) FAIL("the GGUF file ends early");
    return value;
  }
  std::string text() {
    std::string value(static_cast<std::size_t>(number<std::uint64_t>()), '\0');
    in_.read(value.data(), static_cast<std::streamsize>(value.size()));
    return value;
  }
  std::int64_t scalar(std::uint32_t type) {
    switch (type) {
      case 0: return number<std::uint8_t>();
      case 1: return number<std::int8_t>();
      case 2: return number<std::uint16_t>();
      case 3: return number<std::int16_t>();
      case 4: return number<std::uint32_t>();
      case 5: return number<std::int32_t>();
      case 6: return static_cast<std::int64_t>(number<float>());
      case 7: return number<std::uint8_t>();
      case 10: return static_cast<std::int64_t>(number<std::uint64_t>());
      case 11: return number<std::int64_t>();
      case 12: return static_cast<std::int64_t>(number<double>());
      default: FAIL("GGUF value type " << type); return 0;
    }
  }

  moe::GgufVocabulary parse() {
    moe::GgufVocabulary v;
    REQUIRE(number<std::uint32_t>() == 0x46554747);
    number<std::uint32_t>();
    number<std::uint64_t>();
    const auto count = number<std::uint64_t>();
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string key = text();
      const auto type = number<std::uint32_t>();
      if (type == 8) {
        take(v, key, text());
      } else if (type == 9) {
        const auto element = number<std::uint32_t>();
        const auto n = number<std::uint64_t>();
        for (std::uint64_t k = 0; k < n; ++k) {
          if (element == 8) {
            take_element(v, key, text());
          } else {
            const std::int64_t value = scalar(element);
            if (key == "tokenizer.ggml.token_type") v.types.push_back(static_cast<std::int32_t>(value));
          }
        }
      } else {
        take(v, key, scalar(type));
      }
    }
    return v;
  }
  static void take(moe::GgufVocabulary& v, const std::string& key, const std::string& value) {
    if (key == "tokenizer.ggml.model") v.model = value;
    if (key == "tokenizer.ggml.pre") v.pre = value;
  }
  static void take_element(moe::GgufVocabulary& v, const std::string& key, std::string value) {
    if (key == "tokenizer.ggml.tokens") v.tokens.push_back(std::move(value));
    if (key == "tokenizer.ggml.merges") v.merges.push_back(std::move(value));
  }
  static void take(moe::GgufVocabulary& v, const std::string& key, std::int64_t value) {
    const auto id = static_cast<moe::TokenId>(value);
    if (key == "tokenizer.ggml.bos_token_id") v.bos = id;
    if (key == "tokenizer.ggml.eos_token_id") v.eos = id;
    if (key == "tokenizer.ggml.unknown_token_id") v.unk = id;
    if (key == "tokenizer.ggml.padding_token_id") v.pad = id;
    if (key == "tokenizer.ggml.add_bos_token") v.add_bos = value != 0;
    if (key == "tokenizer.ggml.add_eos_token") v.add_eos = value != 0;
  }

  std::ifstream in_;
};

using Ids = std::vector<moe::TokenId>;
using SharedTokenizer = std::shared_ptr<const moe::Tokenizer>;

inline Ids ids_of(const nlohmann::json& list) { return list.get<Ids>(); }

/// Prints ids where a check fails.
inline std::string show(const Ids& ids) {
  std::string text;
  for (moe::TokenId id : ids) text += std::to_string(id) + " ";
  return text;
}

inline SharedTokenizer must(moe::Result<SharedTokenizer> loaded) {
  if (!loaded) FAIL(loaded.error().message);
  return std::move(*loaded);
}

inline Ids must_encode(const moe::Tokenizer& tokenizer, std::string_view text, bool add_special = false,
                       moe::SpecialText special = moe::SpecialText::parse) {
  auto ids = tokenizer.encode(text, add_special, special);
  if (!ids) FAIL(ids.error().message);
  return std::move(*ids);
}

inline std::string must_decode(const moe::Tokenizer& tokenizer, const Ids& ids, bool skip_special = false) {
  auto text = tokenizer.decode(ids, skip_special);
  if (!text) FAIL(text.error().message);
  return std::move(*text);
}

}  // namespace moe_test

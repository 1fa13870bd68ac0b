#pragma once
// What the tokenizer tests share: results or a failed test, and small vocabularies.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moe/tokenizer.hpp"
#include "support.hpp"
#include "tokenizer/unicode.hpp"

namespace moe_test {

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
  auto ids =
      tokenizer.encode(text, {.ends = add_special ? moe::TextEnds::as_model : moe::TextEnds::none, .special = special});
  if (!ids) FAIL(ids.error().message);
  return std::move(*ids);
}

inline std::string must_decode(const moe::Tokenizer& tokenizer, const Ids& ids, bool skip_special = false) {
  auto text = tokenizer.decode(ids, skip_special ? moe::SpecialTokens::hide : moe::SpecialTokens::show);
  if (!text) FAIL(text.error().message);
  return std::move(*text);
}

/// The 256 byte tokens, then one token for every merge ("a b"), then `added` as control tokens.
inline moe::GgufVocabulary small_vocabulary(const std::string& pre, const std::vector<std::string>& merges = {},
                                            const std::vector<std::string>& added = {}) {
  moe::GgufVocabulary v;
  v.model = "gpt2";
  v.pre = pre;
  for (int b = 0; b < 256; ++b) v.tokens.push_back(moe::tokenizer::to_token_text(std::string(1, static_cast<char>(b))));
  for (std::string merge : merges) {
    v.merges.push_back(merge);
    merge.erase(merge.find(' '), 1);
    v.tokens.push_back(merge);
  }
  v.types.assign(v.tokens.size(), 1);
  for (const std::string& token : added) {
    v.tokens.push_back(token);
    v.types.push_back(3);
  }
  return v;
}

}  // namespace moe_test

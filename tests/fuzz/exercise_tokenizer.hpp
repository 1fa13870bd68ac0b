#pragma once
// What holds for every tokenizer that could be built, whatever it was built from.

#include <string>
#include <string_view>
#include <vector>

#include "moe/tokenizer.hpp"
#include "readable_error.hpp"

namespace moe_test {

/// Letters, digits, white space, UTF-8 right and wrong, and what may be a special token.
inline constexpr std::string_view kAnyText = "The 3 quick\tbrown f\xc3\xb6xes <|end|> \xff";

/// Empty, or which of them does not.
inline std::string exercise_tokenizer(const moe::Tokenizer& tokenizer, std::string_view text) {
  for (const auto special : {moe::SpecialText::parse, moe::SpecialText::plain}) {
    const auto ids = tokenizer.encode(text, {.ends = moe::TextEnds::as_model, .special = special});
    if (!ids) {
      if (std::string complaint = complain_about(ids.error()); !complaint.empty()) return complaint;
      continue;
    }
    std::string joined;
    for (const moe::TokenId id : *ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) return "a token id outside the vocabulary";
      joined += tokenizer.bytes_of(id);
    }
    const auto more = tokenizer.decode_more(*ids);
    if (!more || !tokenizer.decode(*ids).has_value()) return "encoded ids cannot be decoded";
    if (*more != joined) return "the text of ids is not their bytes one after the other";
  }
  for (const moe::TokenId id : tokenizer.stop_ids())
    if (id < 0 || !tokenizer.is_stop(id)) return "a token that ends a reply and does not";
  return {};
}

}  // namespace moe_test

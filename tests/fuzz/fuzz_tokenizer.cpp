// libFuzzer entry: any byte string as a tokenizer.json and, behind a zero byte each, a text to encode with it and a
// tokenizer_config.json.

#include "entry.hpp"
#include "exercise_tokenizer.hpp"

void moe_test::try_input(std::string_view input) {
  const auto parts = parts_of(input, 3);
  const auto tokenizer = moe::Tokenizer::create(moe::JsonTokenizer{parts[0], parts[2]});
  if (!tokenizer) return check(tokenizer.error());
  check(exercise_tokenizer(**tokenizer, parts[1].empty() ? kAnyText : parts[1]));
}

// libFuzzer entry: any byte string as a text, behind a byte that chooses one of our tokenizers: its ids decode to the text
// that went in.

#include <array>

#include "entry.hpp"
#include "exercise_tokenizer.hpp"
#include "support/text_file.hpp"
#include "tokenizer/unicode.hpp"

namespace {

using namespace moe_test;

/// What a text is when it comes back.
enum class Back { same, composed, without_first_space };

struct Known {
  std::shared_ptr<const moe::Tokenizer> tokenizer;
  Back back;
};

Known known(const char* path, Back back) {
  const auto json = moe::read_text(std::string(MOE_SOURCE_DIR) + path, 1 << 20);
  if (!json) complain(json.error().message);
  const auto made = moe::Tokenizer::create(moe::JsonTokenizer{*json, {}});
  if (!made) complain(made.error().message);
  return {*made, back};
}

std::string expected(std::string_view input, Back back) {
  const std::string text = moe::replace_invalid_utf8(input);
  if (back == Back::same) return text;
  if (back == Back::composed) return moe::tokenizer::normalize(text, moe::tokenizer::Normalization::nfc).value_or("");
  std::string out;  // U+2581 stands for a space, and the one in front is taken for the tokenizer's own
  for (std::size_t i = 0; i < text.size();) {
    const bool is_symbol = std::string_view(text).substr(i).starts_with(moe::tokenizer::kSpaceSymbol);
    out += is_symbol ? ' ' : text[i];
    i += is_symbol ? moe::tokenizer::kSpaceSymbol.size() : 1;
  }
  return out.starts_with(' ') ? out.substr(1) : out;
}

}  // namespace

void moe_test::try_input(std::string_view input) {
  static const std::array all = {
      known("/models/nano/nano-moe/tokenizer.json", Back::same),
      known("/tests/data/golden/qwen3_moe/tokenizer.json", Back::composed),
      known("/tests/data/golden/deepseek_v3_yarn/tokenizer.json", Back::same),
      known("/tests/data/tokenizers/byte_level.json", Back::same),
      known("/tests/data/tokenizers/characters.json", Back::without_first_space),
  };
  if (input.empty()) return;
  const Known& one = all[static_cast<unsigned char>(input[0]) % all.size()];
  const std::string_view text = input.substr(1);
  check(exercise_tokenizer(*one.tokenizer, text));
  for (const auto special : {moe::SpecialText::parse, moe::SpecialText::plain}) {
    const auto ids = one.tokenizer->encode(text, {.special = special});
    if (!ids) complain("a text is refused: " + ids.error().message);
    if (one.tokenizer->decode(*ids).value_or("-") != expected(text, one.back)) complain("the text comes back changed");
  }
}

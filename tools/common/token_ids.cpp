#include "tools/common/token_ids.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <string>
#include <utility>

#include "support/number.hpp"
#include "support/show.hpp"

namespace cli {

using moe::ErrorCode;
using moe::Result;
using moe::TokenId;

Result<std::vector<TokenId>> parse_ids(std::string_view text) {
  std::vector<TokenId> ids;
  constexpr std::string_view kBetween = " ,\t\r\n";
  for (std::size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    const auto id =
        moe::parse_number<TokenId>("a token id", text.substr(at, end - at), {0, std::numeric_limits<TokenId>::max()});
    if (!id) return moe::forward(id);
    ids.push_back(*id);
    at = text.find_first_not_of(kBetween, end);
  }
  return ids;
}

std::vector<TokenId> option_ids(std::string_view tokens) {
  auto ids = parse_ids(tokens);
  if (!ids) throw CLI::ValidationError("--tokens", ids.error().message);
  if (ids->empty()) throw CLI::ValidationError("--tokens", "holds no token id");
  return std::move(*ids);
}

Result<void> check_tokenizer(const moe::Model& model) {
  if (model.tokenizer()) return {};
  return moe::fail(ErrorCode::unsupported, model.tokenizer_error() + "; --tokens works without a tokenizer");
}

Result<std::vector<TokenId>> text_ids(std::string_view text, const moe::Model& model) {
  if (auto ok = check_tokenizer(model); !ok) return moe::forward(ok);
  const moe::Tokenizer& tokenizer = *model.tokenizer();
  auto ids = tokenizer.encode(text, {.ends = moe::TextEnds::as_model});
  if (!ids) return ids;
  const auto bos = tokenizer.bos();
  if (tokenizer.adds_bos() && ids->size() > 1 && (*ids)[1] == *bos)
    std::fprintf(stderr, "note: the prompt begins with %s, the BOS token that is added as well: there are two\n",
                 moe::printable(tokenizer.bytes_of(*bos)).c_str());
  if (ids->empty()) {  // an empty prompt starts a document, with BOS
    const auto start = bos ? bos : tokenizer.eos();
    if (!start)
      return moe::fail(ErrorCode::bad_argument, "the prompt has no tokens, and the model has no BOS to start from");
    ids->push_back(*start);
  }
  return ids;
}

Result<std::int64_t> reply_length(std::size_t prompt_tokens, std::int64_t wanted, const moe::ModelConfig& config) {
  const auto length = static_cast<std::int64_t>(prompt_tokens);
  if (length > config.max_position)
    return moe::fail(ErrorCode::bad_argument, "the prompt has " + std::to_string(length) +
                                                  " tokens, expected at most " + std::to_string(config.max_position) +
                                                  " (the model's context)");
  return std::min(wanted, config.max_position - length);
}

}  // namespace cli

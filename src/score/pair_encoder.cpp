#include "score/pair_encoder.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "support/show.hpp"
#include "support/white_space.hpp"

namespace moe::inline MOE_ABI::score {

PairEncoder::PairEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  if (tokenizer.bos())
    if (auto text = tokenizer.decode(*tokenizer.bos())) bos_text_ = std::move(*text);
}

Result<std::vector<TokenId>> PairEncoder::with_bos(std::string_view text) const {
  auto ids = tokenizer_.encode(text);
  if (!ids) return ids;
  const bool already = !bos_text_.empty() && text.starts_with(bos_text_);
  if (tokenizer_.adds_bos() && tokenizer_.bos() && !already) ids->insert(ids->begin(), *tokenizer_.bos());
  return ids;
}

Result<TokenId> PairEncoder::prefix_token(std::string_view need) const {
  if (const auto prefix = tokenizer_.bos() ? tokenizer_.bos() : tokenizer_.eos()) return *prefix;
  return fail(ErrorCode::unsupported, fmt::format("{}; the tokenizer names neither", need));
}

Result<PairEncoder::Pair> PairEncoder::without_context(std::string_view continuation) const {
  const auto prefix = prefix_token("an empty context needs a BOS or EOS token");
  if (!prefix) return forward(prefix);
  auto ids = tokenizer_.encode(continuation);
  if (!ids) return forward(ids);
  Pair out{{*prefix}, std::move(*ids), false};
  if (!out.continuation.empty() && out.continuation[0] == *prefix) out.continuation.erase(out.continuation.begin());
  return out;
}

Result<std::vector<TokenId>> PairEncoder::encode_context(std::string_view context) const {
  auto ids = with_bos(context);
  if (!ids || !ids->empty()) return ids;
  const auto prefix = prefix_token("an empty prompt needs a BOS or EOS token");
  if (!prefix) return forward(prefix);
  return std::vector<TokenId>{*prefix};
}

Result<std::vector<TokenId>> PairEncoder::encode_text(std::string_view text) const {
  const auto prefix = prefix_token("a whole text needs a BOS or EOS token before it");
  if (!prefix) return forward(prefix);
  auto ids = with_bos(text);
  if (!ids) return ids;
  ids->insert(ids->begin(), *prefix);
  return ids;
}

Result<PairEncoder::Pair> PairEncoder::encode(std::string_view context, std::string_view continuation) const {
  auto pairs = encode(context, std::vector<std::string_view>{continuation});
  if (!pairs) return forward(pairs);
  return std::move(pairs->front());
}

Result<std::vector<PairEncoder::Pair>> PairEncoder::encode(std::string_view context,
                                                           const std::vector<std::string_view>& continuations) const {
  std::vector<Pair> out;
  const std::size_t kept = rstrip_length(context);
  const std::string_view head = context.substr(0, kept), spaces = context.substr(kept);
  const auto ids = with_bos(head);
  if (!ids) return forward(ids);
  for (std::string_view continuation : continuations) {
    const std::string moved = std::string(spaces) + std::string(continuation);
    Pair pair;
    // A context of white space only and no BOS: the reference harness would have no context.
    if (ids->empty()) {
      auto alone = without_context(moved);
      if (!alone) return forward(alone);
      pair = std::move(*alone);
    } else {
      auto whole = with_bos(std::string(head) + moved);
      if (!whole) return forward(whole);
      pair.context = *ids;
      if (whole->size() > ids->size()) {
        pair.continuation.assign(whole->begin() + static_cast<std::ptrdiff_t>(ids->size()), whole->end());
      } else {
        auto alone = tokenizer_.encode(moved);
        if (!alone) return forward(alone);
        pair.continuation = std::move(*alone);
        pair.reencoded = true;
      }
    }
    if (pair.continuation.empty())
      return fail(ErrorCode::bad_argument, fmt::format("continuation {} gives no token", in_quotes(continuation)));
    out.push_back(std::move(pair));
  }
  return out;
}

}  // namespace moe::inline MOE_ABI::score

// Tokenizers out of the arrays of a GGUF file.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "support/show.hpp"
#include "tokenizer/bad_file.hpp"
#include "tokenizer/bpe_tokenizer.hpp"
#include "tokenizer/gguf_arrays.hpp"
#include "tokenizer/sentence_piece.hpp"

namespace moe::inline MOE_ABI {
namespace tokenizer {
namespace {

Result<void> check_id(const char* name, std::optional<TokenId> id, std::size_t count) {
  if (id && (*id < 0 || static_cast<std::size_t>(*id) >= count))
    return bad("tokenizer.ggml." + std::string(name) + "_token_id is " + std::to_string(*id) + ", but there are " +
               std::to_string(count) + " tokens");
  return {};
}

Result<void> check(const GgufVocabulary& v) {
  if (v.model != "gpt2" && v.model != "llama" && v.model != "gemma4") {
    const std::string kind = v.model == "t5" ? " (Unigram)" : v.model == "bert" ? " (WordPiece)" : "";
    return fail(ErrorCode::unsupported, "tokenizer.ggml.model is " + in_quotes(v.model) + kind +
                                            "; known are gpt2 (byte-level BPE), llama (SentencePiece BPE), gemma4 "
                                            "(BPE of characters)");
  }
  if (v.tokens.empty()) return bad("tokenizer.ggml.tokens is empty");
  if (v.tokens.size() > (std::size_t{1} << 30)) return bad("tokenizer.ggml.tokens is longer than 2^30");
  if (v.types.empty())
    return bad("tokenizer.ggml.token_type is missing: nothing says which tokens are found in the text as a whole");
  if (v.types.size() != v.tokens.size())
    return bad("tokenizer.ggml.token_type has " + std::to_string(v.types.size()) + " entries for " +
               std::to_string(v.tokens.size()) + " tokens");
  if (v.merges.size() > (std::size_t{1} << 31)) return bad("tokenizer.ggml.merges is longer than 2^31");
  // Only ids that matter: the unknown and padding tokens are not used.
  for (const auto& [name, id] : {std::pair{"bos", v.bos}, {"eos", v.eos}})
    if (auto ok = check_id(name, id, v.tokens.size()); !ok) return ok;
  return {};
}

// Converters pad the list to the rows of the model with unused tokens, which no text contains and no sampler may
// choose.
void drop_padding(GgufVocabulary& v) {
  std::size_t count = v.tokens.size();
  const auto named = [&](std::optional<TokenId> id) { return id && static_cast<std::size_t>(*id) + 1 == count; };
  while (count > 1 && v.types[count - 1] == kUnused && !named(v.bos) && !named(v.eos)) --count;
  v.tokens.resize(count);
  v.types.resize(count);
  if (v.scores.size() > count) v.scores.resize(count);
}

// Common to both kinds of vocabulary: byte tokens and added tokens.
// False: an ordinary token, whose bytes the caller knows.
template <class AnyParts>
Result<bool> add_fixed_token(AnyParts& parts, const std::string& text, std::int32_t type) {
  const auto id = static_cast<TokenId>(parts.bytes.size());
  const std::string where = "token " + std::to_string(id);
  if (type < kUndefined || type > kByte) return bad(where + " has the unknown type " + std::to_string(type));
  parts.special.push_back(type == kControl || type == kUnknown);
  if (type == kByte) {
    const int byte = byte_token(text);
    if (byte < 0) return bad(where + " is a byte token and reads " + in_quotes(text) + ", expected <0x00> to <0xFF>");
    parts.bytes.push_back(std::string(1, static_cast<char>(byte)));
    return true;
  }
  if (type == kControl || type == kUnknown || type == kUserDefined) {
    parts.bytes.push_back(text);
    if (text.size() > AddedTokens::kMaxBytes)
      return bad(where + " is a special token of " + std::to_string(text.size()) + " bytes; at most " +
                 std::to_string(AddedTokens::kMaxBytes) + " are read");
    AddedToken added;
    added.id = id;
    added.content = text;
    added.special = type != kUserDefined;
    if (is_valid_utf8(text)) parts.added.push_back(std::move(added));
    return true;
  }
  return false;
}

Result<void> add_token(Parts& parts, const std::string& text, std::int32_t type) {
  const auto done = add_fixed_token(parts, text, type);
  if (!done) return forward(done);
  if (type == kByte && !parts.byte_level)
    parts.byte_ids[static_cast<unsigned char>(parts.bytes.back()[0])] = static_cast<TokenId>(parts.bytes.size()) - 1;
  if (*done) return {};
  parts.bytes.push_back(parts.byte_level ? from_token_text(text).value_or(text) : without_space_symbols(text));
  return {};
}

// Without merges every text would become single bytes.
Result<void> check_merges(const Parts& parts, const GgufVocabulary& v) {
  if (!v.merges.empty()) return {};
  for (std::size_t id = 0; id < v.tokens.size(); ++id)
    if (v.types[id] == kNormal && parts.bytes[id].size() > 1)
      return bad("tokenizer.ggml.merges is missing or empty, but token " + std::to_string(id) + " (" +
                 in_quotes(v.tokens[id]) + ") comes of merges alone");
  return {};
}

Result<std::vector<MergeText>> split_merges(const std::vector<std::string>& merges) {
  std::vector<MergeText> pairs;
  pairs.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const std::size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size())
      return bad("merge " + std::to_string(i) + " is " + in_quotes(merges[i]) +
                 ", expected two tokens with a space between");
    pairs.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return pairs;
}

// The order of merges: the higher the score the lower the rank, equal scores share one.
std::vector<std::uint32_t> ranks_of(const std::vector<float>& scores) {
  std::vector<TokenId> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto score = [&](TokenId id) { return scores[static_cast<std::size_t>(id)]; };
  std::sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return score(a) > score(b); });
  std::vector<std::uint32_t> ranks(scores.size(), 0);
  for (std::size_t i = 1; i < order.size(); ++i) {
    const std::uint32_t before = ranks[static_cast<std::size_t>(order[i - 1])];
    ranks[static_cast<std::size_t>(order[i])] = before + (score(order[i - 1]) > score(order[i]) ? 1 : 0);
  }
  return ranks;
}

Result<void> check_sentence_piece(const GgufVocabulary& v) {
  if (v.scores.empty()) return bad("tokenizer.ggml.scores is missing, which a vocabulary of the model llama needs");
  if (v.scores.size() != v.tokens.size())
    return bad("tokenizer.ggml.scores has " + std::to_string(v.scores.size()) + " entries for " +
               std::to_string(v.tokens.size()) + " tokens");
  for (std::size_t id = 0; id < v.scores.size(); ++id)
    if (!std::isfinite(v.scores[id])) return bad("the score of token " + std::to_string(id) + " is not finite");
  return {};
}

Result<void> add_piece(SentencePieceParts& parts, const std::string& text, std::int32_t type) {
  const std::string where = "token " + std::to_string(parts.bytes.size());
  const auto done = add_fixed_token(parts, text, type);
  if (!done) return forward(done);
  // User-defined tokens were found before, except those with U+2581 for spaces.
  parts.mergeable.push_back(!*done || type == kUserDefined);
  if (*done) {
    if (type == kByte) {
      const auto byte = static_cast<unsigned char>(byte_token(text));
      parts.byte_ids[byte] = static_cast<TokenId>(parts.bytes.size()) - 1;
    }
    return {};
  }
  if (text.size() > AddedTokens::kMaxBytes)
    return bad(where + " has " + std::to_string(text.size()) + " bytes; at most " +
               std::to_string(AddedTokens::kMaxBytes) + " are read");
  parts.bytes.push_back(without_space_symbols(text));
  return {};
}

Result<SentencePieceParts> sentence_piece_parts(GgufVocabulary v) {
  if (auto ok = check_sentence_piece(v); !ok) return forward(ok);
  SentencePieceParts parts;
  parts.byte_ids.fill(-1);
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    if (auto ok = add_piece(parts, v.tokens[i], v.types[i]); !ok) return forward(ok);
  if (auto ok = check_byte_tokens(parts.byte_ids); !ok) return forward(ok);
  parts.ranks = ranks_of(v.scores);
  parts.texts = std::move(v.tokens);
  parts.space_prefix = v.add_space_prefix.value_or(true);
  parts.bos = v.bos;
  parts.eos = v.eos;
  if (v.bos && v.add_bos.value_or(true)) parts.prefix.push_back(*v.bos);
  if (v.eos && v.add_eos.value_or(false)) parts.suffix.push_back(*v.eos);
  return parts;
}

// Characters, with U+2581 for a space and no split; a newline is an ordinary character.
void prepare_gemma4(GgufVocabulary& v, Parts& parts) {
  std::vector<NormalizerStep> steps(1);
  steps[0].kind = NormalizerStep::Kind::replace;
  steps[0].finder = make_literal(" ");
  steps[0].content = kSpaceSymbol;
  parts.normalizer = Normalizer(std::move(steps));
  parts.byte_level = false;
  parts.byte_fallback = true;
  parts.byte_ids.fill(-1);
  v.add_bos = true;  // early files have false; the model was trained with it, and llama.cpp overrides it too
}

Result<void> prepare_named(GgufVocabulary& v, Parts& parts) {
  auto pre = named_pre_tokenizer(v.pre);
  if (!pre) return forward(pre);
  parts.splits = std::move(pre->splits);
  parts.ignore_merges = pre->ignore_merges;
  if (!v.add_bos) v.add_bos = pre->add_bos;
  return {};
}

Result<Parts> bpe_parts(GgufVocabulary v) {
  Parts parts;
  if (v.model == "gemma4")
    prepare_gemma4(v, parts);
  else if (auto ok = prepare_named(v, parts); !ok)
    return forward(ok);
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    if (auto ok = add_token(parts, v.tokens[i], v.types[i]); !ok) return forward(ok);
  if (parts.byte_fallback)
    if (auto ok = check_byte_tokens(parts.byte_ids); !ok) return forward(ok);
  if (auto ok = check_merges(parts, v); !ok) return forward(ok);
  const auto pairs = split_merges(v.merges);
  if (!pairs) return forward(pairs);
  parts.texts = std::move(v.tokens);
  parts.in_model.assign(parts.texts.size(), true);
  if (auto ok = add_merges(parts, TokenTexts(parts.texts), *pairs, false); !ok) return forward(ok);
  parts.bos = v.bos;
  parts.eos = v.eos;
  if (v.bos && *v.add_bos) parts.prefix.push_back(*v.bos);
  if (v.eos && v.add_eos.value_or(false)) parts.suffix.push_back(*v.eos);
  return parts;
}

}  // namespace
}  // namespace tokenizer

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(GgufVocabulary v, const TokenizerOptions& options) {
  using namespace tokenizer;
  if (auto ok = check(v); !ok) return forward(ok);
  drop_padding(v);
  if (v.model == "llama") {
    auto parts = sentence_piece_parts(std::move(v));
    if (!parts) return forward(parts);
    if (auto ok = finish_parts(*parts, options); !ok) return forward(ok);
    return std::shared_ptr<const Tokenizer>(std::make_shared<SentencePiece>(std::move(*parts)));
  }
  auto parts = bpe_parts(std::move(v));
  if (!parts) return forward(parts);
  if (auto ok = finish_parts(*parts, options); !ok) return forward(ok);
  return std::shared_ptr<const Tokenizer>(std::make_shared<BpeTokenizer>(std::move(*parts)));
}

}  // namespace moe::inline MOE_ABI

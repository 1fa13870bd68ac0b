// A tokenizer.json as the arrays of a GGUF file.

#include <algorithm>

#include "support/show.hpp"
#include "tokenizer/gguf_arrays.hpp"
#include "tokenizer/json_fields.hpp"
#include "tokenizer/json_vocabulary.hpp"
#include "tokenizer/sentence_piece.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// Byte-level BPE: the merges unchanged, and the split by its name.
Result<void> write_merges(const std::vector<MergeText>& merges, Parts& parts, GgufVocabulary& v) {
  v.model = "gpt2";
  v.pre = name_of_splits(PreTokenizer(std::move(parts.splits)).description(), parts.ignore_merges);
  for (const MergeText& merge : merges) {
    if (merge.left.find(' ') != std::string_view::npos || merge.right.find(' ') != std::string_view::npos)
      return fail(ErrorCode::unsupported, "merge (" + in_quotes(merge.left) + ", " + in_quotes(merge.right) +
                                              ") has a space, which GGUF cannot hold");
    v.merges.push_back(std::string(merge.left).append(" ").append(merge.right));
  }
  return {};
}

// BPE of characters: SentencePiece's form, where a score says which token is merged first.
Result<void> write_scores(const std::vector<MergeText>& merges, const Parts& parts, GgufVocabulary& v) {
  v.model = "llama";
  if (!parts.byte_fallback)
    return fail(ErrorCode::unsupported, "a tokenizer of characters without byte_fallback, which GGUF cannot hold");
  if (auto ok = check_byte_tokens(parts.byte_ids); !ok) return ok;
  v.scores.assign(v.tokens.size(), 0.0F);
  const TokenTexts texts(v.tokens);
  for (std::size_t i = merges.size(); i-- > 0;)  // the first merge into a token decides
    if (const auto id = texts.find(std::string(merges[i].left).append(merges[i].right)))
      v.scores[static_cast<std::size_t>(*id)] = -static_cast<float>(i + 1);
  v.add_space_prefix =
      parts.normalizer.prepends() || std::any_of(parts.splits.begin(), parts.splits.end(),
                                                 [](const Split& split) { return split.in_front != InFront::nothing; });
  for (const TokenId id : parts.byte_ids) v.types[static_cast<std::size_t>(id)] = kByte;
  if (parts.unk) v.types[static_cast<std::size_t>(*parts.unk)] = kUnknown;
  return {};
}

}  // namespace

Result<GgufVocabulary> vocabulary_from_json(std::string_view json_text, std::string_view config_text) {
  const auto document = parse_json_object(json_text, "tokenizer.json");
  if (!document) return forward(document);
  const JsonValue root = document->root();
  auto parts = read_parts(root, config_text);
  if (!parts) return forward(parts);

  GgufVocabulary v;
  v.types.assign(parts->texts.size(), kNormal);
  for (std::size_t id = 0; id < parts->texts.size(); ++id)
    if (parts->texts[id].empty()) {
      parts->texts[id] = "[PAD" + std::to_string(id) + "]";
      v.types[id] = kUnused;
    }
  for (const AddedToken& token : parts->added)
    v.types[static_cast<std::size_t>(token.id)] = token.special ? kControl : kUserDefined;
  v.tokens = std::move(parts->texts);

  const auto merges = read_merges(*member(root, "model"));
  if (!merges) return forward(merges);
  const auto written = parts->byte_level ? write_merges(*merges, *parts, v) : write_scores(*merges, *parts, v);
  if (!written) return forward(written);
  v.bos = parts->bos;
  v.eos = parts->eos;
  v.unk = parts->unk;
  v.add_bos = v.bos && !parts->prefix.empty() && parts->prefix.front() == *v.bos;
  v.add_eos = v.eos && !parts->suffix.empty() && parts->suffix.back() == *v.eos;
  return v;
}

}  // namespace moe::inline MOE_ABI::tokenizer

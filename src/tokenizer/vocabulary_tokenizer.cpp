#include "tokenizer/vocabulary_tokenizer.hpp"

#include <algorithm>

#include "support/show.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

void sort_out(std::vector<TokenId>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

std::string no_row(const TokenParts& parts, TokenId id) {
  return "the token " + in_quotes(parts.texts[static_cast<std::size_t>(id)]) + " has the id " + std::to_string(id) +
         ", but the model has " + std::to_string(parts.row_count) + " rows";
}

}  // namespace

Result<void> finish_parts(TokenParts& parts, const TokenizerOptions& options) {
  parts.row_count = options.row_count;
  const std::int64_t limit = options.row_count > 0 ? options.row_count : static_cast<std::int64_t>(parts.texts.size());
  if (options.row_count > 0)
    for (const auto* ids : {&parts.prefix, &parts.suffix})
      for (TokenId id : *ids)
        if (id >= options.row_count) return fail(ErrorCode::bad_file, no_row(parts, id));
  for (const auto& id : {parts.bos, parts.eos})
    if (id && *id >= limit) return fail(ErrorCode::bad_file, no_row(parts, *id));
  if (parts.eos) parts.stop_ids = parts.generate_stop_ids = {*parts.eos};
  for (const StopIds& stop : options.stop)
    for (const std::int64_t id : stop.ids) {
      if (id < 0 || id >= limit)
        return fail(ErrorCode::bad_file, stop.where + " is " + std::to_string(id) + ", expected an id from 0 to " +
                                             std::to_string(limit - 1));
      parts.stop_ids.push_back(static_cast<TokenId>(id));
      if (stop.generate) parts.generate_stop_ids.push_back(static_cast<TokenId>(id));
    }
  sort_out(parts.stop_ids);
  sort_out(parts.generate_stop_ids);
  return {};
}

VocabularyTokenizer::VocabularyTokenizer(const TokenParts& parts)
    : texts_(parts.texts),
      bytes_(parts.bytes),
      special_(parts.special),
      bos_(parts.bos),
      eos_(parts.eos),
      prefix_(parts.prefix),
      suffix_(parts.suffix),
      stop_ids_(parts.stop_ids),
      generate_stop_ids_(parts.generate_stop_ids),
      row_count_(parts.row_count) {}

void VocabularyTokenizer::add_ends(Fingerprint& f) const {
  f.ids(prefix_);
  f.ids(suffix_);
  f.ids(stop_ids_);
  f.ids(generate_stop_ids_);
}

Result<std::vector<TokenId>> VocabularyTokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::string repaired;
  const auto checked = encodable(text, repaired);
  if (!checked) return forward(checked);
  std::vector<TokenId> ids;
  if (options.ends == TextEnds::as_model) ids = prefix_;
  if (auto ok = encode_text(*checked, options.special, ids); !ok) return forward(ok);
  if (options.ends == TextEnds::as_model) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
  if (auto ok = check_rows(ids); !ok) return forward(ok);
  return ids;
}

// Published vocabularies may be longer than the embedding (Gemma 3 1B and CodeLlama 34B have added tokens of larger
// models): such a model works for texts without those tokens.
Result<void> VocabularyTokenizer::check_rows(const std::vector<TokenId>& ids) const {
  if (row_count_ == 0 || vocab_size() <= row_count_) return {};
  for (TokenId id : ids)
    if (id >= row_count_)
      return fail(ErrorCode::bad_argument, "the text holds the token " + in_quotes(texts_[id]) + ", whose id is " +
                                               std::to_string(id) + ", but the model has " +
                                               std::to_string(row_count_) + " rows");
  return {};
}

Result<std::string> VocabularyTokenizer::decode_text(std::span<const TokenId> ids, SpecialTokens special) const {
  return decode_continuation(ids, special);
}

Result<std::string> VocabularyTokenizer::decode_continuation(std::span<const TokenId> ids,
                                                             SpecialTokens special) const {
  return joined(bytes_, special_, ids, special);
}

std::string_view VocabularyTokenizer::bytes_of(TokenId id) const { return has(id) ? bytes_[id] : std::string_view(); }

}  // namespace moe::inline MOE_ABI::tokenizer

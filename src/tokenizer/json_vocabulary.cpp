#include "tokenizer/json_vocabulary.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "support/show.hpp"
#include "tokenizer/bad_file.hpp"
#include "tokenizer/json_fields.hpp"

namespace moe::inline MOE_ABI::tokenizer {
namespace {

// Ids may leave holes, but not so large that a small file would need gigabytes of tables.
Result<void> check_range(TokenId id, std::string_view token, std::size_t count) {
  const std::size_t limit = count * 8 + 4096;
  if (static_cast<std::size_t>(id) < limit) return {};
  return bad("token " + in_quotes(token) + " has the id " + std::to_string(id) + " among " + std::to_string(count) +
             " tokens");
}

/// Gives added tokens the ids that the tokenizers package would: those of the vocabulary, else the next free ones.
class AddedIds {
 public:
  explicit AddedIds(std::size_t vocabulary_size) : next_(static_cast<std::int64_t>(vocabulary_size)) {}
  std::int64_t of(const std::string& content, std::optional<TokenId> in_vocabulary) {
    const auto [place, fresh] = ids_.try_emplace(content, in_vocabulary ? *in_vocabulary : next_);
    if (fresh) next_ = std::max(next_, place->second + 1);
    return place->second;
  }

 private:
  std::unordered_map<std::string, std::int64_t> ids_;
  std::int64_t next_;
};

void grow(Parts& parts, TokenId id) {
  const std::size_t size = static_cast<std::size_t>(id) + 1;
  if (parts.texts.size() >= size) return;
  parts.texts.resize(size);
  parts.bytes.resize(size);
  parts.special.resize(size, false);
  parts.in_model.resize(size, false);
}

Result<AddedToken> read_added_token(JsonValue node) {
  AddedToken token;
  if (!node.is_object()) return bad("an entry of \"added_tokens\" is not an object");
  const auto content = text_member(node, "content");
  if (!content) return forward(content);
  if (content->empty()) return bad("an added token has no \"content\"");
  if (content->size() > AddedTokens::kMaxBytes)
    return bad("an added token of " + std::to_string(content->size()) + " bytes; at most " +
               std::to_string(AddedTokens::kMaxBytes) + " are read");
  token.content = *content;
  const auto id = member(node, "id");
  if (!id) return bad("added token " + in_quotes(*content) + " has no \"id\"");
  const auto number = token_id(*id, "added token " + in_quotes(*content));
  if (!number) return forward(number);
  token.id = *number;
  for (const auto& [name, field] : {std::pair{"special", &AddedToken::special},
                                    {"single_word", &AddedToken::single_word},
                                    {"lstrip", &AddedToken::lstrip},
                                    {"rstrip", &AddedToken::rstrip},
                                    {"normalized", &AddedToken::normalized}}) {
    const auto value = bool_member(node, name, false);
    if (!value) return forward(value);
    token.*field = *value;
  }
  return token;
}

}  // namespace

Result<void> check_model(JsonValue model) {
  const auto type = text_member(model, "type");
  if (!type) return forward(type);
  if (!type->empty() && *type != "BPE")
    return fail(ErrorCode::unsupported, "tokenizer model " + in_quotes(*type) + "; known is BPE");
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto text = text_member(model, name);
    if (!text) return forward(text);
    if (!text->empty()) return fail(ErrorCode::unsupported, std::string("tokenizer model with ") + name);
  }
  if (const auto dropout = member(model, "dropout"); dropout && !(dropout->is_number() && dropout->get<double>() == 0))
    return fail(ErrorCode::unsupported, "tokenizer model with dropout");
  return {};
}

Result<void> read_vocab(JsonValue model, Parts& parts) {
  const auto vocab = member(model, "vocab");
  if (!vocab || !vocab->is_object()) return bad("tokenizer model has no object \"vocab\"");
  const std::size_t count = vocab->size();
  std::vector<bool> taken;
  for (const auto& [text, value] : vocab->items()) {
    const auto id = token_id(value, "token " + in_quotes(text));
    if (!id) return forward(id);
    if (auto ok = check_range(*id, text, count); !ok) return ok;
    grow(parts, *id);
    const auto at = static_cast<std::size_t>(*id);
    if (taken.size() <= at) taken.resize(parts.texts.size(), false);
    if (taken[at])
      return bad("tokens " + in_quotes(parts.texts[at]) + " and " + in_quotes(text) + " share the id " +
                 std::to_string(*id));
    taken[at] = true;
    parts.texts[at] = text;
    parts.in_model[at] = true;
  }
  return {};
}

Result<void> read_added_tokens(JsonValue root, std::size_t vocabulary_size, Parts& parts) {
  const auto list = member(root, "added_tokens");
  if (!list) return {};
  if (!list->is_array()) return bad("\"added_tokens\" is not a list");
  const TokenTexts vocabulary(parts.texts);
  AddedIds ids(vocabulary_size);
  std::unordered_set<std::string> specials;
  for (const JsonValue node : *list) {
    auto token = read_added_token(node);
    if (!token) return forward(token);
    const auto known = vocabulary.find(token->content);
    if (known && *known != token->id)
      return bad("added token " + in_quotes(token->content) + " has the id " + std::to_string(token->id) + ", but " +
                 std::to_string(*known) + " in \"vocab\"");
    const auto at = static_cast<std::size_t>(token->id);
    if (at < parts.texts.size() && !parts.texts[at].empty() && parts.texts[at] != token->content)
      return bad("added token " + in_quotes(token->content) + " and token " + in_quotes(parts.texts[at]) +
                 " share the id " + std::to_string(token->id));
    if (const std::int64_t id = ids.of(token->content, known); id != token->id)
      return bad("added token " + in_quotes(token->content) + " has the id " + std::to_string(token->id) +
                 ", expected " + std::to_string(id) + ": added tokens go on where the vocabulary ends, without a gap");
    grow(parts, token->id);
    parts.texts[at] = token->content;
    if (token->special) specials.insert(token->content);
    if (token->normalized) {
      auto content = parts.normalizer.run(token->content, parts.normalizer.make_states());
      if (!content) return forward(content);
      if (content->empty())  // would match everywhere or never
        return fail(ErrorCode::unsupported,
                    "added token " + in_quotes(token->content) + " of which the normalizer leaves nothing");
      token->content = std::move(*content);
    }
    parts.added.push_back(std::move(*token));
  }
  // The tokenizers package decodes to the normalised text, which need not be special.
  for (const AddedToken& token : parts.added)
    parts.special[static_cast<std::size_t>(token.id)] = specials.contains(token.content);
  return {};
}

Result<std::vector<MergeText>> read_merges(JsonValue model) {
  std::vector<MergeText> pairs;
  const auto merges = member(model, "merges");
  if (!merges || !merges->is_array()) return bad("tokenizer model has no list \"merges\"");
  pairs.reserve(merges->size());
  std::size_t number = 0;
  for (const JsonValue merge : *merges) {
    const std::size_t i = number++;
    if (merge.is_array() && merge.size() == 2) {
      const JsonValue left = merge.front(), right = *++merge.begin();
      if (left.is_string() && right.is_string()) {
        pairs.push_back({left.text(), right.text()});
        continue;
      }
    }
    if (merge.is_string()) {
      const std::string_view text = merge.text();
      if (i == 0 && text.substr(0, 8) == "#version") continue;
      const std::size_t space = text.find(' ');
      if (space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos) {
        pairs.push_back({text.substr(0, space), text.substr(space + 1)});
        continue;
      }
    }
    return bad("merge " + std::to_string(i) + " is neither \"a b\" nor a pair of strings");
  }
  return pairs;
}

Result<void> read_unknown(JsonValue model, const TokenTexts& texts, Parts& parts) {
  const auto unk = text_member(model, "unk_token");
  if (!unk) return forward(unk);
  const auto fuse = bool_member(model, "fuse_unk", false);
  if (!fuse) return forward(fuse);
  parts.fuse_unk = *fuse;
  if (unk->empty()) return {};
  parts.unk = texts.find(*unk);
  if (!parts.unk) return bad("unk_token " + in_quotes(*unk) + " is not in the vocabulary");
  return {};
}

Result<void> read_byte_fallback(JsonValue model, const TokenTexts& texts, Parts& parts) {
  const auto fallback = bool_member(model, "byte_fallback", false);
  if (!fallback) return forward(fallback);
  parts.byte_ids.fill(-1);
  if (!*fallback) return {};
  if (parts.byte_level) {
    // If every symbol of the alphabet has a token, no character falls back.
    for (unsigned b = 0; b < 256; ++b)
      if (!texts.find(to_token_text(std::string(1, static_cast<char>(b)))))
        return fail(ErrorCode::unsupported, "tokenizer model with byte_fallback and a ByteLevel pre_tokenizer");
    return {};
  }
  parts.byte_fallback = true;
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (std::size_t b = 0; b < 256; ++b) {
    const std::string text = std::string("<0x") + kDigits[b / 16] + kDigits[b % 16] + ">";
    const auto id = texts.find(text);
    if (id && parts.in_model[static_cast<std::size_t>(*id)]) parts.byte_ids[b] = *id;
  }
  return {};
}

}  // namespace moe::inline MOE_ABI::tokenizer

// Byte-level BPE out of a tokenizer.json, with BOS and EOS of the tokenizer_config.json beside it.

#include <algorithm>
#include <unordered_map>

#include "support/show.hpp"
#include "tokenizer/byte_level_bpe.hpp"
#include "tokenizer/gguf_vocabulary.hpp"
#include "tokenizer/json_fields.hpp"
#include "tokenizer/json_pre_tokenizer.hpp"

namespace moe::inline MOE_ABI {
namespace tokenizer {
namespace {

tl::unexpected<Error> bad(std::string message) { return fail(ErrorCode::bad_file, std::move(message)); }

// Options of the BPE model that would change the ids and are not built.
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
  const auto fallback = bool_member(model, "byte_fallback", false);
  if (!fallback) return forward(fallback);
  if (*fallback)
    return fail(ErrorCode::unsupported, "tokenizer model with byte_fallback; only byte-level BPE is known");
  if (const auto dropout = member(model, "dropout"); dropout && !(dropout->is_number() && dropout->get<double>() == 0))
    return fail(ErrorCode::unsupported, "tokenizer model with dropout");
  return {};
}

// Ids may leave holes, but not so large ones that a few bytes of file ask for gigabytes of table.
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
}

Result<void> read_vocab(JsonValue model, std::size_t count, Parts& parts) {
  const auto vocab = member(model, "vocab");
  if (!vocab || !vocab->is_object()) return bad("tokenizer model has no object \"vocab\"");
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
    auto bytes = from_token_text(text);
    parts.bytes[at] = bytes ? std::move(*bytes) : std::string(text);
  }
  return {};
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

Result<void> read_added_tokens(JsonValue root, std::size_t vocabulary_size, Parts& parts) {
  const auto list = member(root, "added_tokens");
  if (!list) return {};
  if (!list->is_array()) return bad("\"added_tokens\" is not a list");
  const TokenTexts vocabulary(parts.texts);
  AddedIds ids(vocabulary_size);
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
    parts.texts[at] = parts.bytes[at] = token->content;
    parts.special[at] = token->special;
    if (token->normalized) {
      for (Normalization form : parts.normalizers) {
        auto content = normalize(token->content, form);
        if (!content) return forward(content);
        token->content = std::move(*content);
      }
    }
    parts.added.push_back(std::move(*token));
  }
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

// "bos_token": a string, or an object with "content".
Result<std::optional<TokenId>> config_token(JsonValue config, const char* name, const TokenTexts& texts) {
  auto value = member(config, name);
  if (value && value->is_object()) value = member(*value, "content");
  if (!value) return std::optional<TokenId>();
  if (!value->is_string()) return bad(std::string("tokenizer_config.json: \"") + name + "\" is not a string");
  const std::string text(value->text());
  const auto id = texts.find(text);
  if (!id)
    return bad(std::string("tokenizer_config.json: ") + name + " " + in_quotes(text) + " is not in the vocabulary");
  return id;
}

Result<void> read_config(std::string_view text, const TokenTexts& texts, Parts& parts) {
  const auto document = parse_json_object(text, "tokenizer_config.json");
  if (!document) return forward(document);
  const JsonValue config = document->root();
  const auto bos = config_token(config, "bos_token", texts);
  if (!bos) return forward(bos);
  const auto eos = config_token(config, "eos_token", texts);
  if (!eos) return forward(eos);
  parts.bos = *bos;
  parts.eos = *eos;
  const bool has_bos = parts.bos && !parts.prefix.empty() && parts.prefix.front() == *parts.bos;
  const bool has_eos = parts.eos && !parts.suffix.empty() && parts.suffix.back() == *parts.eos;
  const auto add_bos = bool_member(config, "add_bos_token", has_bos);
  if (!add_bos) return forward(add_bos);
  const auto add_eos = bool_member(config, "add_eos_token", has_eos);
  if (!add_eos) return forward(add_eos);
  if (*add_bos && !has_bos && parts.bos) parts.prefix.insert(parts.prefix.begin(), *parts.bos);
  if (!*add_bos && has_bos) parts.prefix.erase(parts.prefix.begin());
  if (*add_eos && !has_eos && parts.eos) parts.suffix.push_back(*parts.eos);
  if (!*add_eos && has_eos) parts.suffix.pop_back();
  return {};
}

Result<void> check_template(const Parts& parts) {
  for (const auto* ids : {&parts.prefix, &parts.suffix})
    for (TokenId id : *ids)
      if (static_cast<std::size_t>(id) >= parts.texts.size())
        return bad("post_processor adds the id " + std::to_string(id) + ", but there are " +
                   std::to_string(parts.texts.size()) + " tokens");
  return {};
}

// Everything but the vocabulary: how text is cut and what goes around it.
Result<void> read_pipeline(JsonValue root, Parts& parts) {
  if (const auto node = member(root, "normalizer"))
    if (auto ok = read_normalizer(*node, parts.normalizers); !ok) return ok;
  const auto pre = member(root, "pre_tokenizer");
  if (!pre) return fail(ErrorCode::unsupported, "tokenizer.json without pre_tokenizer; only byte-level BPE is known");
  if (auto ok = read_pre_tokenizer(*pre, parts.splits); !ok) return ok;
  if (const auto node = member(root, "post_processor"))
    if (auto ok = read_post_processor(*node, parts.prefix, parts.suffix); !ok) return ok;
  if (const auto node = member(root, "decoder"))
    if (auto ok = check_decoder(*node); !ok) return ok;
  return {};
}

Result<Parts> read_parts(JsonValue root, std::string_view config_text) {
  const auto model = member(root, "model");
  if (!model || !model->is_object()) return bad("tokenizer.json has no object \"model\"");
  if (auto ok = check_model(*model); !ok) return forward(ok);
  Parts parts;
  if (auto ok = read_pipeline(root, parts); !ok) return forward(ok);
  const auto vocab = member(*model, "vocab");
  const std::size_t count = vocab ? vocab->size() : 0;
  if (auto ok = read_vocab(*model, count, parts); !ok) return forward(ok);
  if (auto ok = read_added_tokens(root, count, parts); !ok) return forward(ok);
  const auto ignore_merges = bool_member(*model, "ignore_merges", false);
  if (!ignore_merges) return forward(ignore_merges);
  parts.ignore_merges = *ignore_merges;

  const TokenTexts texts(parts.texts);
  const auto merges = read_merges(*model);
  if (!merges) return forward(merges);
  if (auto ok = add_merges(parts, texts, *merges, true); !ok) return forward(ok);
  if (auto ok = read_unknown(*model, texts, parts); !ok) return forward(ok);
  if (auto ok = check_template(parts); !ok) return forward(ok);
  if (config_text.empty()) {
    if (!parts.prefix.empty()) parts.bos = parts.prefix.front();
    if (!parts.suffix.empty()) parts.eos = parts.suffix.back();
  } else if (auto ok = read_config(config_text, texts, parts); !ok) {
    return forward(ok);
  }
  return parts;
}

// The document ends here, before tables are built of what it says.
Result<Parts> parse_parts(std::string_view json_text, std::string_view config_text) {
  const auto document = parse_json_object(json_text, "tokenizer.json");
  if (!document) return forward(document);
  return read_parts(document->root(), config_text);
}

}  // namespace

Result<GgufVocabulary> vocabulary_from_json(std::string_view json_text, std::string_view config_text) {
  const auto document = parse_json_object(json_text, "tokenizer.json");
  if (!document) return forward(document);
  const JsonValue root = document->root();
  auto parts = read_parts(root, config_text);
  if (!parts) return forward(parts);

  GgufVocabulary v;
  v.model = "gpt2";
  v.pre = name_of_splits(PreTokenizer(std::move(parts->splits)).description(), parts->ignore_merges);
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
  for (const MergeText& merge : *merges) {
    if (merge.left.find(' ') != std::string_view::npos || merge.right.find(' ') != std::string_view::npos)
      return fail(ErrorCode::unsupported, "merge (" + in_quotes(merge.left) + ", " + in_quotes(merge.right) +
                                              ") has a space, which GGUF cannot hold");
    v.merges.push_back(std::string(merge.left).append(" ").append(merge.right));
  }
  v.bos = parts->bos;
  v.eos = parts->eos;
  v.unk = parts->unk;
  v.add_bos = v.bos && !parts->prefix.empty() && parts->prefix.front() == *v.bos;
  v.add_eos = v.eos && !parts->suffix.empty() && parts->suffix.back() == *v.eos;
  return v;
}

}  // namespace tokenizer

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_json(std::string_view tokenizer_json,
                                                              std::string_view tokenizer_config_json,
                                                              const TokenizerOptions& options) {
  auto parts = tokenizer::parse_parts(tokenizer_json, tokenizer_config_json);
  if (!parts) return forward(parts);
  if (auto ok = tokenizer::finish_parts(*parts, options); !ok) return forward(ok);
  return std::shared_ptr<const Tokenizer>(std::make_shared<tokenizer::ByteLevelBpe>(std::move(*parts)));
}

}  // namespace moe::inline MOE_ABI

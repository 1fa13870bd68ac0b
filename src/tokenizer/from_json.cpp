// BPE from a tokenizer.json, with BOS and EOS from tokenizer_config.json.

#include <algorithm>

#include "support/show.hpp"
#include "tokenizer/bad_file.hpp"
#include "tokenizer/bpe_tokenizer.hpp"
#include "tokenizer/json_fields.hpp"
#include "tokenizer/json_normalizer.hpp"
#include "tokenizer/json_pre_tokenizer.hpp"
#include "tokenizer/json_vocabulary.hpp"

namespace moe::inline MOE_ABI {
namespace tokenizer {
namespace {

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

// "first" adds a space before the segment that begins the original text. After a normaliser that removed the beginning
// or split it, this is no longer the first segment.
Result<void> check_first(const Parts& parts) {
  const auto first = std::find_if(parts.splits.begin(), parts.splits.end(),
                                  [](const Split& split) { return split.in_front == InFront::of_text; });
  if (first == parts.splits.end()) return {};
  const bool cut_before = first != parts.splits.begin();
  if (!parts.normalizer.strips_beginning() && !(cut_before && parts.normalizer.widens_beginning())) return {};
  return fail(ErrorCode::unsupported,
              "pre_tokenizer Metaspace with the prepend_scheme \"first\" after a normalizer that moves the beginning");
}

// Everything except the vocabulary: splits, tokens around a text, and decoding.
Result<JsonDecoder> read_pipeline(JsonValue root, Parts& parts) {
  std::vector<NormalizerStep> steps;
  if (const auto node = member(root, "normalizer"))
    if (auto ok = read_normalizer(*node, steps); !ok) return forward(ok);
  parts.normalizer = Normalizer(std::move(steps));
  parts.byte_level = false;
  if (const auto node = member(root, "pre_tokenizer"))
    if (auto ok = read_pre_tokenizer(*node, parts.splits, parts.byte_level); !ok) return forward(ok);
  if (auto ok = check_first(parts); !ok) return forward(ok);
  if (const auto node = member(root, "post_processor"))
    if (auto ok = read_post_processor(*node, parts.prefix, parts.suffix); !ok) return forward(ok);
  JsonDecoder decoder;
  decoder.byte_level = parts.byte_level;
  if (const auto node = member(root, "decoder")) {
    auto read = read_decoder(*node);
    if (!read) return read;
    decoder = std::move(*read);
  } else if (!parts.byte_level) {
    return fail(ErrorCode::unsupported, "tokenizer.json without decoder and without a ByteLevel pre_tokenizer");
  }
  if (decoder.byte_level != parts.byte_level)
    return fail(ErrorCode::unsupported, decoder.byte_level ? "decoder ByteLevel without a ByteLevel pre_tokenizer"
                                                           : "pre_tokenizer ByteLevel with another decoder");
  return decoder;
}

Result<void> read_tokens(JsonValue root, JsonValue model, const JsonDecoder& decoder, Parts& parts) {
  if (auto ok = read_vocab(model, parts); !ok) return ok;
  if (auto ok = read_added_tokens(root, member(model, "vocab")->size(), parts); !ok) return ok;
  for (std::size_t id = 0; id < parts.texts.size(); ++id) parts.bytes[id] = decoder.bytes_of(parts.texts[id]);
  for (const AddedToken& token : parts.added)  // these are not written in GPT-2's alphabet
    parts.bytes[static_cast<std::size_t>(token.id)] =
        decoder.byte_level ? token.content : decoder.bytes_of(token.content);
  parts.strip = decoder.strip;
  parts.first_token_drops = decoder.first_token_drops;
  return {};
}

}  // namespace

Result<Parts> read_parts(JsonValue root, std::string_view config_text) {
  const auto model = member(root, "model");
  if (!model || !model->is_object()) return bad("tokenizer.json has no object \"model\"");
  if (auto ok = check_model(*model); !ok) return forward(ok);
  Parts parts;
  const auto decoder = read_pipeline(root, parts);
  if (!decoder) return forward(decoder);
  if (auto ok = read_tokens(root, *model, *decoder, parts); !ok) return forward(ok);
  const auto ignore_merges = bool_member(*model, "ignore_merges", false);
  if (!ignore_merges) return forward(ignore_merges);
  parts.ignore_merges = *ignore_merges;

  const TokenTexts texts(parts.texts);
  const auto merges = read_merges(*model);
  if (!merges) return forward(merges);
  if (auto ok = add_merges(parts, texts, *merges, true); !ok) return forward(ok);
  if (auto ok = read_unknown(*model, texts, parts); !ok) return forward(ok);
  if (auto ok = read_byte_fallback(*model, texts, parts); !ok) return forward(ok);
  if (auto ok = check_template(parts); !ok) return forward(ok);
  if (config_text.empty()) {
    if (!parts.prefix.empty()) parts.bos = parts.prefix.front();
    if (!parts.suffix.empty()) parts.eos = parts.suffix.back();
  } else if (auto ok = read_config(config_text, texts, parts); !ok) {
    return forward(ok);
  }
  return parts;
}

namespace {

// Frees the document before the tables are built.
Result<Parts> parse_parts(std::string_view json_text, std::string_view config_text) {
  const auto document = parse_json_object(json_text, "tokenizer.json");
  if (!document) return forward(document);
  return read_parts(document->root(), config_text);
}

}  // namespace
}  // namespace tokenizer

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(const JsonTokenizer& texts,
                                                           const TokenizerOptions& options) {
  auto parts = tokenizer::parse_parts(texts.json, texts.config);
  if (!parts) return forward(parts);
  if (auto ok = tokenizer::finish_parts(*parts, options); !ok) return forward(ok);
  return std::shared_ptr<const Tokenizer>(std::make_shared<tokenizer::BpeTokenizer>(std::move(*parts)));
}

}  // namespace moe::inline MOE_ABI

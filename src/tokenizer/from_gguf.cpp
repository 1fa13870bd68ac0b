// Byte-level BPE out of the arrays of a GGUF file.

#include "tokenizer/byte_level_bpe.hpp"
#include "tokenizer/gguf_vocabulary.hpp"

namespace moe::inline MOE_ABI {
namespace tokenizer {
namespace {

tl::unexpected<Error> bad(std::string message) { return fail(ErrorCode::bad_file, std::move(message)); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "<0x0A>", exactly two digits; -1 for everything else.
int byte_token(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

Result<void> check_id(const char* name, std::optional<TokenId> id, std::size_t count) {
  if (id && (*id < 0 || static_cast<std::size_t>(*id) >= count))
    return bad("tokenizer.ggml." + std::string(name) + "_token_id is " + std::to_string(*id) + ", but there are " +
               std::to_string(count) + " tokens");
  return {};
}

Result<void> check(const GgufVocabulary& v) {
  if (v.model != "gpt2")
    return fail(ErrorCode::unsupported, "tokenizer.ggml.model is " + in_quotes(v.model) +
                                            (v.model == "llama" ? " (SentencePiece)" : "") +
                                            "; known is gpt2 (byte-level BPE)");
  if (v.tokens.empty()) return bad("tokenizer.ggml.tokens is empty");
  if (v.tokens.size() > (std::size_t{1} << 30)) return bad("tokenizer.ggml.tokens is longer than 2^30");
  if (!v.types.empty() && v.types.size() != v.tokens.size())
    return bad("tokenizer.ggml.token_type has " + std::to_string(v.types.size()) + " entries for " +
               std::to_string(v.tokens.size()) + " tokens");
  if (v.merges.size() > (std::size_t{1} << 31)) return bad("tokenizer.ggml.merges is longer than 2^31");
  for (const auto& [name, id] : {std::pair{"bos", v.bos}, {"eos", v.eos}, {"padding", v.pad}, {"unknown", v.unk}}) {
    auto ok = check_id(name, id, v.tokens.size());
    if (!ok) return ok;
  }
  return {};
}

Result<void> add_token(Parts& parts, const std::string& text, std::int32_t type) {
  const auto id = static_cast<TokenId>(parts.bytes.size());
  const std::string where = "token " + std::to_string(id);
  if (type < kUndefined || type > kByte) return bad(where + " has the unknown type " + std::to_string(type));
  parts.special.push_back(type == kControl || type == kUnknown);
  if (type == kByte) {
    const int byte = byte_token(text);
    if (byte < 0) return bad(where + " is a byte token and reads " + in_quotes(text) + ", expected <0x00> to <0xFF>");
    parts.bytes.push_back(std::string(1, static_cast<char>(byte)));
    return {};
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
    return {};
  }
  auto bytes = from_token_text(text);
  parts.bytes.push_back(bytes ? std::move(*bytes) : text);
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

}  // namespace
}  // namespace tokenizer

Result<std::shared_ptr<const Tokenizer>> Tokenizer::from_gguf(GgufVocabulary v) {
  using namespace tokenizer;
  if (auto ok = check(v); !ok) return forward(ok);
  auto pre = named_pre_tokenizer(v.pre);
  if (!pre) return forward(pre);

  Parts parts;
  parts.splits = std::move(pre->splits);
  parts.ignore_merges = pre->ignore_merges;
  for (std::size_t i = 0; i < v.tokens.size(); ++i)
    if (auto ok = add_token(parts, v.tokens[i], v.types.empty() ? kNormal : v.types[i]); !ok) return forward(ok);
  const auto pairs = split_merges(v.merges);
  if (!pairs) return forward(pairs);
  parts.texts = std::move(v.tokens);
  const TokenTexts texts(parts.texts);
  if (auto ok = add_merges(parts, texts, *pairs, false); !ok) return forward(ok);

  parts.bos = v.bos;
  parts.eos = v.eos;
  if (v.bos && v.add_bos.value_or(pre->add_bos)) parts.prefix.push_back(*v.bos);
  if (v.eos && v.add_eos.value_or(false)) parts.suffix.push_back(*v.eos);
  return std::shared_ptr<const Tokenizer>(std::make_shared<ByteLevelBpe>(std::move(parts)));
}

}  // namespace moe::inline MOE_ABI

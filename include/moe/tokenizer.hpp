#pragma once
// Text to token ids and back: BPE over bytes or characters, and SentencePiece's BPE.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/token.hpp"

namespace moe::inline MOE_ABI {

/// How to treat text that looks like a special token.
enum class SpecialText {
  parse,  ///< "<|im_end|>" becomes that token (the default of transformers and llama.cpp)
  plain,  ///< it is encoded as ordinary text
};
constexpr std::string_view name_of(SpecialText value) noexcept {
  switch (value) {
    case SpecialText::parse: return "parse";
    case SpecialText::plain: return "plain";
  }
  return "";
}

/// End-of-text ids from one key of a model's files.
struct StopIds {
  std::string where = {};  ///< for messages: "generation_config.json: eos_token_id"
  std::vector<std::int64_t> ids = {};
  bool generate = true;  ///< transformers' generate() stops at them
};

/// Facts about the model that affect its tokens.
struct TokenizerOptions {
  std::int64_t row_count = 0;      ///< rows of the model's embedding; 0: not known
  std::vector<StopIds> stop = {};  ///< besides the tokenizer's own EOS
};

/// The tokenizer.ggml.* arrays of a GGUF file.
struct GgufVocabulary {
  /// tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SentencePiece's), "gemma4" (characters)
  std::string model = {};
  std::string pre = {};                  ///< tokenizer.ggml.pre
  std::vector<std::string> tokens = {};  ///< tokenizer.ggml.tokens
  /// tokenizer.ggml.token_type of every token: 1 normal, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::int32_t> types = {};
  std::vector<std::string> merges = {};  ///< tokenizer.ggml.merges
  std::optional<TokenId> bos = {}, eos = {}, unk = {};
  std::optional<bool> add_bos = {}, add_eos = {};
  std::vector<float> scores = {};             ///< tokenizer.ggml.scores: one for every token of a "llama" vocabulary
  std::optional<bool> add_space_prefix = {};  ///< of a "llama" vocabulary, true when absent
};

/// The tokenizer files of a Hugging Face directory.
struct JsonTokenizer {
  std::string_view json = {};    ///< tokenizer.json
  std::string_view config = {};  ///< tokenizer_config.json; may be empty (BOS, EOS and add_bos_token come from it)
};

/// Special tokens around an encoded text.
enum class TextEnds {
  none,      ///< the text alone
  as_model,  ///< BOS and EOS, each if the model uses it
};
constexpr std::string_view name_of(TextEnds value) noexcept {
  switch (value) {
    case TextEnds::none: return "none";
    case TextEnds::as_model: return "as_model";
  }
  return "";
}

struct EncodeOptions {
  TextEnds ends = TextEnds::none;
  SpecialText special = SpecialText::parse;
};

/// Whether decoded text contains control tokens such as "<|im_end|>".
enum class SpecialTokens { hide, show };
constexpr std::string_view name_of(SpecialTokens value) noexcept {
  switch (value) {
    case SpecialTokens::hide: return "hide";
    case SpecialTokens::show: return "show";
  }
  return "";
}

/// Immutable: any number of threads may use one object.
class MOE_API Tokenizer {
 public:
  /// Errors: unsupported (model or pre-tokenizer not known: names it and lists the known ones), bad_file.
  static Result<std::shared_ptr<const Tokenizer>> create(GgufVocabulary vocabulary,
                                                         const TokenizerOptions& options = {});
  static Result<std::shared_ptr<const Tokenizer>> create(const JsonTokenizer& texts,
                                                         const TokenizerOptions& options = {});
  /// Only the tokenizer of a path that Model::load accepts; weights are not needed. For a Hugging Face directory,
  /// tokenizer.json is enough. Errors: those of create; not_found, io.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::string& path);

  virtual ~Tokenizer() = default;

  /// Errors: bad_argument when a PCRE2 match or depth limit is hit, or the text holds a token for which the model has
  /// no row. Invalid UTF-8 is replaced as transformers does.
  virtual Result<std::vector<TokenId>> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  /// Bytes of the ids. Errors: bad_argument naming the id out of range.
  Result<std::string> decode(std::span<const TokenId> ids, SpecialTokens special = SpecialTokens::show) const {
    return decode_text(ids, special);
  }
  Result<std::string> decode(TokenId id, SpecialTokens special = SpecialTokens::show) const {
    return decode_text({&id, 1}, special);
  }
  /// The same for ids that continue a text: keeps the leading space, which SentencePiece adds to a text and decode()
  /// removes. Needed to put a reply together token by token.
  Result<std::string> decode_more(std::span<const TokenId> ids, SpecialTokens special = SpecialTokens::show) const {
    return decode_continuation(ids, special);
  }
  Result<std::string> decode_more(TokenId id, SpecialTokens special = SpecialTokens::show) const {
    return decode_continuation({&id, 1}, special);
  }

  /// Ids are 0 to vocab_size() - 1. A model may have more rows: padding without text.
  virtual std::int64_t vocab_size() const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  /// All tokens that end a reply, ascending: eos(), and those of generation_config.json, config.json or a GGUF file's
  /// eos, eot and eom.
  virtual const std::vector<TokenId>& stop_ids() const = 0;
  bool is_stop(TokenId id) const { return std::binary_search(stop_ids().begin(), stop_ids().end(), id); }
  /// Those at which the reference harness ends a reply: eos(), and those of generation_config.json, or of config.json
  /// if there is no such file; for a GGUF file all.
  virtual const std::vector<TokenId>& generate_stop_ids() const = 0;
  /// The bytes that decode_more() returns for one id; empty outside the vocabulary. Valid as long as the tokenizer.
  virtual std::string_view bytes_of(TokenId id) const = 0;
  /// Whether SpecialTokens::hide leaves it out ("<|im_end|>" and the like).
  virtual bool is_control(TokenId id) const = 0;
  /// Whether the tokenizer adds BOS by default (Llama 3: yes, Qwen: no).
  virtual bool adds_bos() const = 0;
  virtual std::optional<TokenId> find(std::string_view token_text) const = 0;
  /// A stable hash (not SHA-256) of everything that affects ids and the ends of replies (for keys of the run store).
  virtual std::uint64_t fingerprint() const = 0;

 protected:
  virtual Result<std::string> decode_text(std::span<const TokenId> ids, SpecialTokens special) const = 0;
  virtual Result<std::string> decode_continuation(std::span<const TokenId> ids, SpecialTokens special) const = 0;
};

}  // namespace moe::inline MOE_ABI

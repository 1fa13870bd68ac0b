#pragma once
// Text to token ids and back: BPE over bytes or characters, and the BPE of SentencePiece.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "moe/error.hpp"
#include "moe/token.hpp"

namespace moe::inline MOE_ABI {

/// How text that looks like a special token is treated.
enum class SpecialText {
  parse,  ///< "<|im_end|>" becomes the one token (what transformers and llama.cpp do by default)
  plain,  ///< it is ordinary text
};
constexpr std::string_view name_of(SpecialText value) noexcept {
  switch (value) {
    case SpecialText::parse: return "parse";
    case SpecialText::plain: return "plain";
  }
  return "";
}

/// Ids at which a text ends, as one key of a model's files names them.
struct StopIds {
  std::string where = {};  ///< for messages: "generation_config.json: eos_token_id"
  std::vector<std::int64_t> ids = {};
  bool generate = true;  ///< transformers' generate() stops at them
};

/// What else of a model decides about its tokens.
struct TokenizerOptions {
  std::int64_t row_count = 0;      ///< rows of the model's embedding; 0: not known
  std::vector<StopIds> stop = {};  ///< besides the tokenizer's own EOS
};

/// What a tokenizer is built from; filled by the GGUF reader (arrays) or the tokenizer.json reader (bytes).
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

/// Immutable: any number of threads may use one object at once.
class MOE_API Tokenizer {
 public:
  /// Errors: unsupported (model or pre-tokenizer not known: names it and lists the known ones), bad_file.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(GgufVocabulary vocabulary,
                                                            const TokenizerOptions& options = {});
  /// `tokenizer_json` is the file's content; `tokenizer_config_json` may be empty (BOS/EOS and add_bos_token come from it).
  static Result<std::shared_ptr<const Tokenizer>> from_json(std::string_view tokenizer_json,
                                                            std::string_view tokenizer_config_json,
                                                            const TokenizerOptions& options = {});

  virtual ~Tokenizer() = default;

  /// `add_special`: put BOS (and EOS, where the model asks for it) around the text.
  /// Errors: bad_argument when a PCRE2 match or depth limit is hit, or the text holds a token for which the model has no
  /// row. Invalid UTF-8 is replaced as transformers does.
  virtual Result<std::vector<TokenId>> encode(std::string_view text, bool add_special,
                                              SpecialText special = SpecialText::parse) const = 0;
  /// Bytes of the ids, special tokens included unless `skip_special`. Errors: bad_argument naming the id out of range.
  virtual Result<std::string> decode(const std::vector<TokenId>& ids, bool skip_special = false) const = 0;

  /// The same for ids that go on with a text: the space in front, which SentencePiece adds to a text and decode() takes
  /// away again, stays. Replies put together token by token need this one.
  virtual Result<std::string> decode_more(const std::vector<TokenId>& ids, bool skip_special = false) const {
    return decode(ids, skip_special);
  }

  /// Ids run from 0 to below this. A model may have more rows: padding, which no text is made of.
  virtual std::int64_t vocab_size() const = 0;
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  /// Every token that ends a reply, rising: eos(), and those of generation_config.json, config.json or a GGUF file's eos,
  /// eot and eom, each of which may name several.
  virtual const std::vector<TokenId>& stop_ids() const = 0;
  bool is_stop(TokenId id) const { return std::binary_search(stop_ids().begin(), stop_ids().end(), id); }
  /// Those of them at which the reference harness ends a reply: eos(), and generation_config.json's where there is that
  /// file, else config.json's; of a GGUF file all.
  virtual const std::vector<TokenId>& generate_stop_ids() const = 0;
  /// The bytes that decode_more() gives for one id; empty outside the vocabulary. Valid as long as the tokenizer is.
  virtual std::string_view bytes_of(TokenId id) const = 0;
  /// Left out by skip_special: "<|im_end|>" and its like.
  virtual bool is_control(TokenId id) const = 0;
  /// What the tokenizer itself does by default (Llama 3: true, Qwen: false).
  virtual bool adds_bos() const = 0;
  virtual std::optional<TokenId> find(std::string_view token_text) const = 0;
  /// SHA-256-free stable fingerprint of everything that shapes ids and the ends of replies (run-store keys).
  virtual std::uint64_t fingerprint() const = 0;
};

}  // namespace moe::inline MOE_ABI

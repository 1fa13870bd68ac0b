#include "checkpoint/tokenizer_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "checkpoint/metadata.hpp"

namespace moe::inline MOE_ABI::checkpoint {

namespace {

constexpr std::string_view kBos = "tokenizer.ggml.bos_token_id", kEos = "tokenizer.ggml.eos_token_id",
                           kEot = "tokenizer.ggml.eot_token_id", kEom = "tokenizer.ggml.eom_token_id";

/// The array at `key`; null when absent.
template <class T>
Result<const std::vector<T>*> find_array(const Checkpoint& file, std::string_view key, std::string_view expected) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return nullptr;
  if (const auto* array = std::get_if<std::vector<T>>(value)) return array;
  return fail(ErrorCode::bad_file, fmt::format("metadata {} is {}, expected {}", key, describe(*value), expected));
}

Result<void> check_length(std::string_view key, std::size_t found, std::size_t tokens) {
  if (found == tokens) return {};
  return fail(ErrorCode::bad_file,
              fmt::format("metadata {} has {} elements, expected one for each of {} tokens", key, found, tokens));
}

Result<void> read_tokens(const Checkpoint& file, GgufVocabulary& v) {
  constexpr std::string_view kTokens = "tokenizer.ggml.tokens", kMerges = "tokenizer.ggml.merges";
  const auto tokens = find_array<std::string>(file, kTokens, "an array of strings");
  if (!tokens) return forward(tokens);
  if (*tokens == nullptr) return fail(ErrorCode::not_found, fmt::format("metadata {} is missing", kTokens));
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<TokenId>::max());
  if ((*tokens)->empty() || (*tokens)->size() > kMost)
    return fail(ErrorCode::bad_file,
                fmt::format("metadata {} has {} elements, expected 1 to {}", kTokens, (*tokens)->size(), kMost));
  v.tokens = **tokens;
  const auto merges = find_array<std::string>(file, kMerges, "an array of strings");
  if (!merges) return forward(merges);
  if (*merges != nullptr) v.merges = **merges;
  return {};
}

Result<void> read_types(const Checkpoint& file, GgufVocabulary& v) {
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type", kScores = "tokenizer.ggml.scores";
  const auto types = find_array<std::int64_t>(file, kTypes, "an array of integers");
  if (!types) return forward(types);
  if (*types != nullptr) {
    if (auto ok = check_length(kTypes, (*types)->size(), v.tokens.size()); !ok) return ok;
    v.types.reserve((*types)->size());
    for (const std::int64_t type : **types) {
      if (type < 0 || type > 6)
        return fail(ErrorCode::bad_file, fmt::format("metadata {} holds {}, expected 0 to 6", kTypes, type));
      v.types.push_back(static_cast<std::int32_t>(type));
    }
  }
  const auto scores = find_array<double>(file, kScores, "an array of numbers");
  if (!scores) return forward(scores);
  if (*scores == nullptr) return {};
  if (auto ok = check_length(kScores, (*scores)->size(), v.tokens.size()); !ok) return ok;
  v.scores.reserve((*scores)->size());
  for (const double score : **scores) v.scores.push_back(static_cast<float>(score));
  return {};
}

/// Ids of tokens, one or a list; empty when the key is absent.
Result<std::vector<std::int64_t>> find_ids(const Checkpoint& file, std::string_view key, std::size_t tokens) {
  const MetaValue* value = file.meta(key);
  if (value == nullptr) return std::vector<std::int64_t>{};
  const auto last = static_cast<std::int64_t>(tokens) - 1;
  const auto* list = std::get_if<std::vector<std::int64_t>>(value);
  if (list == nullptr) {
    const auto id = meta_int(file, key, 0, last);
    if (!id) return forward(id);
    return std::vector<std::int64_t>{*id};
  }
  for (const std::int64_t id : *list)
    if (id < 0 || id > last)
      return fail(ErrorCode::bad_file, fmt::format("metadata {} holds {}, expected ids in [0, {}]", key, id, last));
  return *list;
}

/// Ids that matter must be valid; the padding and unknown tokens are not used.
Result<void> read_ids(const Checkpoint& file, GgufVocabulary& v) {
  if (file.meta(kBos) != nullptr) {
    const auto bos = meta_int(file, kBos, 0, static_cast<std::int64_t>(v.tokens.size()) - 1);
    if (!bos) return forward(bos);
    v.bos = static_cast<TokenId>(*bos);
  }
  const auto eos = find_ids(file, kEos, v.tokens.size());
  if (!eos) return forward(eos);
  if (!eos->empty()) v.eos = static_cast<TokenId>(eos->front());
  const std::pair<std::string_view, std::optional<bool>*> flags[] = {
      {"tokenizer.ggml.add_bos_token", &v.add_bos},
      {"tokenizer.ggml.add_eos_token", &v.add_eos},
      {"tokenizer.ggml.add_space_prefix", &v.add_space_prefix}};
  for (const auto& [key, flag] : flags) {
    if (file.meta(key) == nullptr) continue;
    const auto found = meta_bool_or(file, key, false);
    if (!found) return forward(found);
    *flag = *found;
  }
  return {};
}

}  // namespace

bool is_tokenizer_key(std::string_view key) {
  // Ids of the second line are names in chat templates (chat_templates.cpp).
  constexpr std::string_view kGgml[] = {"model",
                                        "pre",
                                        "tokens",
                                        "merges",
                                        "token_type",
                                        "scores",
                                        "bos_token_id",
                                        "eos_token_id",
                                        "eot_token_id",
                                        "eom_token_id",
                                        "add_bos_token",
                                        "add_eos_token",
                                        "add_space_prefix",
                                        "unknown_token_id",
                                        "separator_token_id",
                                        "seperator_token_id",
                                        "padding_token_id",
                                        "cls_token_id",
                                        "mask_token_id"};
  constexpr std::string_view kPart = "tokenizer.ggml.";
  if (key.starts_with(kPart))
    return std::find(std::begin(kGgml), std::end(kGgml), key.substr(kPart.size())) != std::end(kGgml);
  return key == kTokenizerJsonKey || key == "tokenizer.chat_template" || key == "tokenizer.chat_templates" ||
         key.starts_with("tokenizer.chat_template.");
}

Result<std::vector<StopIds>> read_stop_ids(const Checkpoint& file, std::size_t tokens) {
  std::vector<StopIds> all;
  for (const std::string_view key : {kEos, kEot, kEom}) {
    auto ids = find_ids(file, key, tokens);
    if (!ids) return forward(ids);
    all.push_back({fmt::format("metadata {}", key), std::move(*ids)});
  }
  return all;
}

Result<GgufVocabulary> read_vocabulary(const Checkpoint& file) {
  GgufVocabulary v;
  auto model = meta_string(file, "tokenizer.ggml.model");
  if (!model) return forward(model);
  v.model = std::move(*model);
  if (v.model == "no_vocab" || v.model == "none")
    return fail(ErrorCode::not_found,
                fmt::format("the file has no vocabulary (tokenizer.ggml.model is '{}')", v.model));
  auto pre = meta_string_or(file, "tokenizer.ggml.pre", "");
  if (!pre) return forward(pre);
  v.pre = std::move(*pre);
  if (auto ok = read_tokens(file, v); !ok) return forward(ok);
  if (auto ok = read_types(file, v); !ok) return forward(ok);
  if (auto ok = read_ids(file, v); !ok) return forward(ok);
  return v;
}

}  // namespace moe::inline MOE_ABI::checkpoint

#pragma once
// What a model's files say about it beside its weights.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Integers of every width are std::int64_t, those beyond it std::uint64_t; lists have values of one type.
using MetadataValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, std::vector<std::int64_t>,
                                   std::vector<double>, std::vector<bool>, std::vector<std::string>>;

/// By key, as the files name them:
///   GGUF          "general.name", "qwen3moe.expert_count", "tokenizer.chat_template", ...
///   Hugging Face  config.json, inner objects with dots ("rope_scaling.factor"), whole numbers as std::int64_t; the same
///                 of generation_config.json behind "generation_config."
/// Not in it: lists of more than kMaxMetadataList values (vocabularies: Tokenizer has them), null and what is no finite
/// number, lists of several types, of lists or of objects, keys of more than kMaxMetadataKey bytes, and of a
/// configuration what comes after its first kMaxMetadataCount entries.
using Metadata = std::map<std::string, MetadataValue, std::less<>>;

inline constexpr std::size_t kMaxMetadataList = 1024;
inline constexpr std::size_t kMaxMetadataKey = 256;
inline constexpr std::size_t kMaxMetadataCount = 16384;

/// The value of that key if it is a T (std::string, double, ..), else null.
template <class T>
const T* find_metadata(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace moe::inline MOE_ABI

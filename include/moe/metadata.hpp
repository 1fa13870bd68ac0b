#pragma once
// Metadata of a model's files: everything they say apart from the weights.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// Integers of every width are std::int64_t, or std::uint64_t where that is too small; lists have values of one type.
using MetadataValue = std::variant<std::int64_t, std::uint64_t, double, bool, std::string, std::vector<std::int64_t>,
                                   std::vector<double>, std::vector<bool>, std::vector<std::string>>;

/// Keyed as in the files:
///   GGUF          "general.name", "qwen3moe.expert_count", "tokenizer.chat_template", ...
///   Hugging Face  config.json, inner objects with dots ("rope_scaling.factor"), whole numbers as std::int64_t;
///                 generation_config.json likewise, with the prefix "generation_config."
/// Left out: lists of more than kMaxMetadataList values (vocabularies, which Tokenizer has), null, numbers that are not
/// finite, lists of mixed types, of lists or of objects, keys of more than kMaxMetadataKey bytes, and all but the first
/// kMaxMetadataCount entries of a configuration.
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

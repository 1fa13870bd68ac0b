#pragma once
// Typed access to GGUF metadata. A value of another type or outside the range is an error that names the key, what was
// found and what was expected; an absent key is not_found, or the fallback where there is one.

#include <cstdint>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::checkpoint {

/// Errors of all: not_found, bad_file.
Result<std::int64_t> meta_int(const Checkpoint& file, std::string_view key, std::int64_t min, std::int64_t max);
Result<bool> meta_bool_or(const Checkpoint& file, std::string_view key, bool fallback);
Result<std::string> meta_string(const Checkpoint& file, std::string_view key);
Result<std::string> meta_string_or(const Checkpoint& file, std::string_view key, std::string_view fallback);

/// "the integer 7", "an array of 3 strings": for messages.
std::string describe(const MetaValue& value);

}  // namespace moe::inline MOE_ABI::checkpoint

#pragma once
// ModelInfo::metadata from what the checkpoint readers have.

#include <string_view>

#include "checkpoint/checkpoint.hpp"
#include "moe/metadata.hpp"

namespace moe::inline MOE_ABI {

/// Never fails: what cannot be read is not in it, and whoever needs it says so.
Metadata metadata_of(const checkpoint::Checkpoint& file);
/// Adds the members of a JSON object behind `prefix`; nothing when the text is none.
void add_json_metadata(std::string_view text, const std::string& prefix, Metadata& out);

}  // namespace moe::inline MOE_ABI

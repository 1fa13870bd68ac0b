#pragma once
// ModelInfo::metadata from the checkpoint readers' data.

#include <string_view>

#include "checkpoint/checkpoint.hpp"
#include "moe/metadata.hpp"

namespace moe::inline MOE_ABI {

/// Never fails: unreadable parts are left out; their users report errors.
Metadata metadata_of(const checkpoint::Checkpoint& file);
/// Adds the members of a JSON object with `prefix`; nothing when the text is not an object.
void add_json_metadata(std::string_view text, const std::string& prefix, Metadata& out);

}  // namespace moe::inline MOE_ABI

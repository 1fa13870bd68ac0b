#pragma once
// What a packed file was made from.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.hpp"

namespace moe::inline MOE_ABI::pack {

/// PackSource and its files, as in a packed file. `digests` (ContentHasher::file_digests) may be empty.
std::vector<std::byte> source_record(const checkpoint::Checkpoint& file, ContentHash hash,
                                     const std::vector<std::string>& digests);

/// Whether both are of the same bytes; digests are not compared.
bool same_source(std::span<const std::byte> a, std::span<const std::byte> b);

/// The digests in a record of the right length, if they are by this hash.
std::optional<std::vector<std::string>> digests_in(std::span<const std::byte> record, ContentHash hash);

}  // namespace moe::inline MOE_ABI::pack

#pragma once
// Token ids.

#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// From 0 to below the vocabulary's size.
using TokenId = std::int32_t;

}  // namespace moe::inline MOE_ABI

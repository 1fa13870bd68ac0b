#pragma once
// Resource limits of chat templates. A template comes from a model file and is untrusted: without limits, a few bytes
// of it can take hours or all memory.

#include <cstddef>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

struct Limits {
  std::size_t source_bytes = 1 << 20;  ///< the largest template seen has 17 KB
  std::size_t tokens = 200'000;        ///< words and signs of the template
  int nesting = 200;                   ///< height of the syntax tree; jinja2 itself ends between 75 and 200
  int calls = 200;                     ///< nested macro calls; about CPython's limit
  int depth = 3'000;                   ///< nested statements and expressions during evaluation
  std::uint64_t steps = 2'000'000;     ///< one per expression, statement, item and KiB of text processed
  std::size_t text_bytes = 16 << 20;   ///< one string, and the whole output
  std::size_t value_bytes = 64 << 20;  ///< all live values
  std::int64_t range_items = 100'000;  ///< as jinja2's sandbox
  int value_depth = 400;               ///< lists in lists
};

}  // namespace moe::inline MOE_ABI::chat

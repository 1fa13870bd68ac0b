#pragma once
// What a chat template may use up. A template comes out of a model file, so it is hostile input: without limits a few
// bytes of it can ask for hours or for all memory.

#include <cstddef>
#include <cstdint>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::chat {

struct Limits {
  std::size_t source_bytes = 1 << 20;  ///< the largest template seen has 17 KB
  std::size_t tokens = 200'000;        ///< words and signs of the template
  int nesting = 200;                   ///< height of the syntax tree; jinja2 itself ends between 75 and 200
  int calls = 200;                     ///< macros inside macros; CPython's stack ends there too
  int depth = 3'000;                   ///< statements and expressions that are being evaluated at one time
  std::uint64_t steps = 2'000'000;     ///< one per expression, statement, item and KiB of text that is looked at
  std::size_t text_bytes = 16 << 20;   ///< one string, and the whole output
  std::size_t value_bytes = 64 << 20;  ///< all values that are alive
  std::int64_t range_items = 100'000;  ///< as jinja2's sandbox
  int value_depth = 400;               ///< lists in lists
};

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Methods of str. Every row of the tables is one method; filters with the same meaning use the functions.

#include <span>

#include "chat/attributes.hpp"

namespace moe::inline MOE_ABI::chat {

enum class Side : std::uint8_t { left = 1, right = 2, both = 3 };
/// strip(): white space, or the characters of `chars` where there are some.
Value strip(Run& run, const Text& text, const Value& chars, Side side);
/// replace(): `count` < 0 replaces all.
Value replace(Run& run, const Text& text, const Text& old_part, const Text& new_part, std::int64_t count);
/// str.splitlines().
std::vector<Value> split_lines(Run& run, const Text& text, bool keep_ends);
/// Bytes [begin, end) of a text, marked as safe if the text is.
Value part_of(Run& run, const Text& text, std::size_t begin, std::size_t end);
/// str.center(width, fill).
Value center(Run& run, const Text& text, std::int64_t width, const Text& fill);

std::span<const MethodRow> str_search_methods();
std::span<const MethodRow> str_split_methods();
std::span<const MethodRow> str_shape_methods();

}  // namespace moe::inline MOE_ABI::chat

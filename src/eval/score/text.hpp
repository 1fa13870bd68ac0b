#pragma once
// Python's string methods on UTF-8, where scores depend on them.

#include <cstdint>
#include <string>
#include <string_view>

#include "moe/error.hpp"
#include "support/white_space.hpp"

namespace moe::inline MOE_ABI::eval {

/// str.strip(): all Unicode white space, U+00A0 and U+3000 included.
MOE_API std::string_view strip(std::string_view text);
using moe::rstrip_length;

/// Whether two joined texts need a delimiter: neither is empty or has white space at the border.
MOE_API bool wants_delimiter(std::string_view before, std::string_view after);
/// The two texts, with the delimiter if needed.
MOE_API std::string delimited(std::string_view before, std::string_view after, std::string_view delimiter);

/// The answer in a reply with thinking: the text after the last `think_end`, leading white space removed. The whole
/// reply if `think_end` is empty.
MOE_API std::string_view after_thinking(std::string_view reply, std::string_view think_end);

/// len(str): code points, never bytes.
MOE_API std::int32_t code_points(std::string_view text);

/// len(re.split(r"\s+", text)): runs of white space and one, even where the text begins or ends with such a run.
MOE_API std::int64_t words(std::string_view text);

/// str.lower() and str.upper() by Unicode's simple mappings: one code point for one. Broken bytes stay.
MOE_API std::string lowercase(std::string_view text);
MOE_API std::string uppercase(std::string_view text);

}  // namespace moe::inline MOE_ABI::eval

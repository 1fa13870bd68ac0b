#pragma once
// The error of the readers of tokenizer files.

#include <string>
#include <utility>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::tokenizer {

inline tl::unexpected<Error> bad(std::string message) { return fail(ErrorCode::bad_file, std::move(message)); }

}  // namespace moe::inline MOE_ABI::tokenizer

#pragma once
// Token ids from Python: any sequence of integers, or a one-dimensional array of them.

#include <string>
#include <string_view>
#include <vector>

#include "bindings.hpp"
#include "moe/token.hpp"

namespace moe_python {

/// TypeError for other types; bad_argument naming the position of a number that is not a 32-bit id.
std::vector<moe::TokenId> ids_of(nb::handle object);

/// The bytes of a text. Raises UnicodeEncodeError for a lone surrogate.
std::string bytes_of(nb::str text);

/// The text; invalid UTF-8 becomes U+FFFD.
nb::str text_of(std::string_view bytes);

}  // namespace moe_python

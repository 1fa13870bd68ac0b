#pragma once
// Keyword arguments of generate() and chat().

#include "bindings.hpp"
#include "moe/generate.hpp"

namespace moe_python {

/// Errors: TypeError for a name that is none and for a value of the wrong type. What values may be the library says.
moe::GenerateOptions generate_options(const nb::dict& given);

}  // namespace moe_python

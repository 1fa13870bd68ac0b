#pragma once
// Keyword arguments of generate() and chat().

#include "bindings.hpp"
#include "moe/generate.hpp"

namespace moe_python {

/// Errors: TypeError for an unknown name and for a value of the wrong type. The library checks ranges.
moe::GenerateOptions generate_options(const nb::dict& given);

}  // namespace moe_python

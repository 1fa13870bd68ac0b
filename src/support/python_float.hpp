#pragma once
// Numbers as Python writes them, for templates and for files that other programs compare as texts.

#include <string>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI {

/// repr() of a Python float: the shortest digits that give the same number, with ".0" or an exponent.
MOE_API std::string python_float(double value);

}  // namespace moe::inline MOE_ABI

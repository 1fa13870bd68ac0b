#pragma once
// str() and repr(): how Python prints values.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// str(value) as a text; a text is itself. Undefined values print as nothing.
TextPtr to_text(Run& run, const Value& value);
/// str(value) at the end of `out`.
void add_str(Run& run, TextBuilder& out, const Value& value);
/// repr(value) at the end of `out`.
void add_repr(Run& run, TextBuilder& out, const Value& value);
/// repr() of a text for an error message, shortened. (Not `quoted`: the standard library has one for every string.)
std::string repr_of(std::string_view bytes);

}  // namespace moe::inline MOE_ABI::chat

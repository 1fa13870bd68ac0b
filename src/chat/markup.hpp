#pragma once
// Escapes of HTML: the filters escape, safe and striptags, and strings that are marked as escaped.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// & < > ' " as entities.
void add_escaped(TextBuilder& out, const Text& text);
/// markupsafe.escape(value): marked text stays, everything else is printed and escaped.
Value escape(Run& run, const Value& value);
/// The text marked as safe.
Value mark_safe(Run& run, const Text& text);
/// Markup.striptags(): without tags and comments, white space collapsed, entities resolved.
Value strip_tags(Run& run, const Text& text);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// jinja2's filters and tests: value | name(arguments) and value is name(arguments).

#include <span>

#include "chat/attributes.hpp"

namespace moe::inline MOE_ABI::chat {

/// Null for an unknown name; a row without a function is known to jinja2 alone.
const MethodRow* find_filter(std::string_view name);
/// A test gives a boolean.
const MethodRow* find_test(std::string_view name);

std::span<const MethodRow> text_filters();
std::span<const MethodRow> markup_filters();
std::span<const MethodRow> list_filters();
std::span<const MethodRow> select_filters();
std::span<const MethodRow> number_filters();

/// value | name, for filters that are named at run time. Errors: TemplateRuntimeError for an unknown name.
Value apply_filter(Run& run, const Value& name, const Value& value, const Args& args);
bool apply_test(Run& run, const Value& name, const Value& value, const Args& args);

Value wordwrap_filter(Run& run, const Value& value, const Args& args);
/// len().
Value length_filter(Run& run, const Value& value, const Args& args);

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Global functions of templates: range, dict, namespace, cycler, joiner, raise_exception,
// strftime_now. lipsum is random and therefore refused.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

/// The global of that name, or missing.
Value find_global(Run& run, std::string_view name);
/// dict.fromkeys(keys, value).
Value dict_from_keys(Run& run, const Args& args);

}  // namespace moe::inline MOE_ABI::chat

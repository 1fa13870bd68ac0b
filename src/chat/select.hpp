#pragma once
// Selects one of a model's templates.

#include <string>

#include "moe/chat.hpp"

namespace moe::inline MOE_ABI::chat {

struct Selected {
  std::string name, source;
};
/// Errors: not_found, naming the templates there are and what to do.
Result<Selected> select_template(const ChatTemplates& templates, const ChatOptions& options);

}  // namespace moe::inline MOE_ABI::chat

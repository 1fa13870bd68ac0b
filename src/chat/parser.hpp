#pragma once
// Parses tokens into a syntax tree.

#include "chat/ast.hpp"
#include "chat/token.hpp"

namespace moe::inline MOE_ABI::chat {

tl::expected<Tree, Fault> parse_template(std::vector<Token> tokens, const Limits& limits);

/// Resolves every name to its variable. jinja2 compiles a template to Python functions; this follows their scoping
/// rules, including closures.
tl::expected<void, Fault> resolve_names(Tree& tree);

}  // namespace moe::inline MOE_ABI::chat

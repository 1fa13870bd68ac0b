#pragma once
// Tokens into a syntax tree.

#include "chat/ast.hpp"
#include "chat/token.hpp"

namespace moe::inline MOE_ABI::chat {

tl::expected<Tree, Fault> parse_template(std::vector<Token> tokens, const Limits& limits);

/// Finds out which variable every name means. jinja2 turns a template into Python functions; their rules of scope,
/// closures too, are copied here.
tl::expected<void, Fault> resolve_names(Tree& tree);

}  // namespace moe::inline MOE_ABI::chat

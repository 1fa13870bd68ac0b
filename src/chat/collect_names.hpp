#pragma once
// The names that the statements of one scope load and store, as jinja2's FrameSymbolVisitor finds them.

#include <vector>

#include "chat/ast.hpp"
#include "chat/symbols.hpp"

namespace moe::inline MOE_ABI::chat {

/// Tells a scope's symbols which names its statements load and store. Inner scopes are not entered.
class NameCollector {
 public:
  explicit NameCollector(Symbols& symbols) : symbols_(symbols) {}

  void parameters(const std::vector<ExprPtr>& nodes);
  void parameter(const Expr& node);
  void expressions(const std::vector<ExprPtr>& nodes);
  void expression(const ExprPtr& node);
  void body(const Body& nodes);

 private:
  void statement(const Stmt& node);
  void branch(const Stmt& node);

  Symbols& symbols_;
};

}  // namespace moe::inline MOE_ABI::chat

#include "chat/collect_names.hpp"

namespace moe::inline MOE_ABI::chat {

void NameCollector::parameters(const std::vector<ExprPtr>& nodes) {
  for (const ExprPtr& node : nodes) parameter(*node);
}

void NameCollector::parameter(const Expr& node) {
  if (node.kind == ExprKind::name) symbols_.declare_parameter(node.name);
  for (const ExprPtr& item : node.items) parameter(*item);
}

void NameCollector::expressions(const std::vector<ExprPtr>& nodes) {
  for (const ExprPtr& node : nodes) expression(node);
}

void NameCollector::expression(const ExprPtr& node) {
  if (node == nullptr) return;
  if (node->kind == ExprKind::space_attribute) symbols_.load(node->name);
  if (node->kind == ExprKind::name) {
    if (node->stored)
      symbols_.store(node->name);
    else
      symbols_.load(node->name);
  }
  expressions(node->items);
  for (const Keyword& keyword : node->named) expression(keyword.value);
  expression(node->spread);
  expression(node->spread_named);
}

void NameCollector::body(const Body& nodes) {
  for (const StmtPtr& node : nodes) statement(*node);
}

void NameCollector::statement(const Stmt& node) {
  switch (node.kind) {
    case StmtKind::output:
    case StmtKind::with: return expressions(node.exprs);
    case StmtKind::loop:
    case StmtKind::call: return expression(node.value);
    case StmtKind::branch: return branch(node);
    case StmtKind::macro: return symbols_.store(node.name);
    case StmtKind::filter: return expression(node.filter);
    case StmtKind::set: expression(node.value); return expression(node.target);
    case StmtKind::set_block: return expression(node.target);
    case StmtKind::load_template:
      expression(node.value);
      for (const std::string& name : node.names) symbols_.store(name);
      return;
    default: return;
  }
}

void NameCollector::branch(const Stmt& node) {
  expression(node.branches[0].test);
  const std::size_t mark = symbols_.log_mark();
  for (std::size_t i = 0; i < node.branches.size(); ++i) {
    if (i > 0) expression(node.branches[i].test);
    body(node.branches[i].body);
  }
  body(node.otherwise);
  symbols_.after_branches(mark);
}

}  // namespace moe::inline MOE_ABI::chat

#include "chat/undeclared.hpp"

namespace moe::inline MOE_ABI::chat {

void Undeclared::walk(const Body& body) {
  for (const StmtPtr& node : body) walk(*node);
}

void Undeclared::walk(const ExprPtr& node) {
  if (node == nullptr) return;
  if (node->kind == ExprKind::name) {
    if (node->stored)
      open_.erase(node->name);
    else if (open_.count(node->name) != 0)
      found_.insert(node->name);
    return;
  }
  walk(node->items);
  for (const Keyword& keyword : node->named) walk(keyword.value);
  walk(node->spread);
  walk(node->spread_named);
}

void Undeclared::walk(const std::vector<ExprPtr>& nodes) {
  for (const ExprPtr& node : nodes) walk(node);
}

void Undeclared::walk(const Stmt& node) {
  if (node.kind == StmtKind::block) return;
  if (node.kind == StmtKind::macro) {
    walk(node.exprs);
    walk(node.more);
    return walk(node.body);
  }
  if (node.kind == StmtKind::with) {
    walk(node.more);
    walk(node.exprs);
    return walk(node.body);
  }
  if (node.kind == StmtKind::filter) {
    walk(node.body);
    return walk(node.filter);
  }
  if (node.kind == StmtKind::loop) {
    walk(node.target);
    walk(node.value);
    walk(node.body);
    walk(node.otherwise);
    return walk(node.test);
  }
  walk(node.target);
  walk(node.value);
  walk(node.exprs);
  walk(node.more);
  walk(node.filter);
  for (const Branch& branch : node.branches) {
    walk(branch.test);
    walk(branch.body);
  }
  walk(node.body);
  walk(node.otherwise);
}

}  // namespace moe::inline MOE_ABI::chat

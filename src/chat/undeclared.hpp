#pragma once
// Which names of a template are free, as jinja2's find_undeclared sees it.

#include <initializer_list>
#include <set>
#include <string>

#include "chat/ast.hpp"

namespace moe::inline MOE_ABI::chat {

/// Which of some names are read before anything in the same walk assigns them. Order matters: it is that of jinja2.
class Undeclared {
 public:
  explicit Undeclared(std::initializer_list<std::string> names) : open_(names) {}

  bool found(const std::string& name) const { return found_.count(name) != 0; }

  void walk(const Body& body);

 private:
  void walk(const ExprPtr& node);
  void walk(const std::vector<ExprPtr>& nodes);
  void walk(const Stmt& node);

  std::set<std::string> open_, found_;
};

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Variables of one scope while names are resolved. The model is jinja2's compiler, which makes Python functions of a
// template: a scope's variables are local variables of its function, named after their level.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "chat/ast.hpp"

namespace moe::inline MOE_ABI::chat {

/// A function of the compiled template.
struct FunctionScope {
  FunctionInfo* info;
  FunctionScope* outer = nullptr;  ///< null for the template itself and for blocks
  int depth = 0;
  std::map<std::string, int> slots;

  FunctionScope(FunctionInfo& function, FunctionScope* outer_function);
  int slot(int level, const std::string& name);
};

class Symbols {
 public:
  Symbols(FunctionScope& function, const Symbols* parent);

  void declare_parameter(const std::string& name);
  void load(const std::string& name);
  void store(const std::string& name);
  /// What if-branches store is what it was before wherever the branch is not taken. `since` is a mark of the log.
  std::size_t log_mark() const { return log_.size(); }
  void after_branches(std::size_t since);

  bool known(const std::string& name) const { return find(name).function != nullptr; }
  /// The variable, seen from `function`.
  Ref ref(const std::string& name, const FunctionScope& function) const;
  Scope scope() const;
  FunctionScope& function() const { return function_; }
  /// Names that this scope and those around it assign to, innermost first.
  std::vector<std::string> all_stores() const;

 private:
  struct Found {
    const FunctionScope* function = nullptr;
    int slot = -1;
  };
  Found find(const std::string& name) const;
  int define(const std::string& name, Load load);
  Load outer_load(const Found& outer) const;

  FunctionScope& function_;
  const Symbols* parent_;
  int level_;
  std::map<std::string, int> refs_;
  std::map<int, Load> loads_;
  std::set<std::string> stores_;
  std::vector<std::string> log_;  // names in the order in which they were first stored
};

}  // namespace moe::inline MOE_ABI::chat

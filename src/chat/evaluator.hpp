#pragma once
// Evaluates the syntax tree and writes the text.

#include <deque>

#include "chat/ast.hpp"
#include "chat/context.hpp"
#include "chat/loop.hpp"

namespace moe::inline MOE_ABI::chat {

/// The variables of one call of a function of the template.
class Activation : public Clearable {
 public:
  Activation(const FunctionInfo& function, std::shared_ptr<Activation> around);
  void clear() override;
  std::vector<Value> slots;
  std::shared_ptr<Activation> outer;
};
using ActivationPtr = std::shared_ptr<Activation>;

class Evaluator {
 public:
  Evaluator(Run& run, const Tree& tree, Context& context) : run_(run), tree_(tree), context_(&context) {}
  /// Renders the template into `out`.
  void render(TextBuilder& out);

  /// Calls a macro or call block defined in `closure`.
  Value call_macro(const Stmt& node, ActivationPtr closure, const Args& args);
  /// Renders a recursive loop over `iterable`.
  Value call_loop(const Stmt& node, ActivationPtr closure, const Value& iterable, std::int64_t depth0);
  Value call_block(const Stmt& node, Context& context);
  /// Whether a loop's filter keeps the item; gives it as the loop sees it.
  bool loop_test(const Stmt& node, const ActivationPtr& variables, Value& item);
  void enter_loop_test(const Stmt& node, const ActivationPtr& variables);
  Context& context() { return *context_; }
  const Tree& tree() const { return tree_; }

 private:
  enum class Flow : std::uint8_t { normal, leave, next };
  class Deeper;
  class Inside;

  Value expression(const Expr& node);
  Value name(const Expr& node);
  Value sequence(const Expr& node);
  Value dict(const Expr& node);
  Value concat(const Expr& node);
  Value compare_chain(const Expr& node);
  Value item(const Expr& node);
  Value condition(const Expr& node);
  Value call(const Expr& node, const Value* caller);
  Value filter_or_test(const Expr& node);
  bool arguments(const Expr& node, Args& args);
  bool spread_named(const Expr& node, Args& args);

  Flow body(const Body& nodes);
  Flow statement(const Stmt& node);
  void output(const Stmt& node);
  void write_text(const Value& value);
  Flow loop(const Stmt& node);
  Flow loop_over(const Stmt& node, const Value& iterable, std::int64_t depth0, const Value& recurse);
  Flow loop_items(const Stmt& node, const std::shared_ptr<Loop>& loop, bool& completed);
  Flow branch(const Stmt& node);
  void macro(const Stmt& node);
  void call_statement(const Stmt& node);
  Flow filter(const Stmt& node);
  Flow with(const Stmt& node);
  void set(const Stmt& node);
  Flow set_block(const Stmt& node);
  void block(const Stmt& node);

  void enter(const Scope& scope);
  void leave(const Scope& scope);
  Value& variable(const Ref& ref);
  void assign(const Expr& target, const Value& value);
  void assign_attribute(const Expr& target, const Value& value);
  bool spaces_only(const Expr& target);
  void export_names(const Expr& target);
  Value target_value(const Expr& target);
  bool bind_macro(const Stmt& node, const Args& args, Activation& variables);
  Value make_macro(const Stmt& node);

  Run& run_;
  const Tree& tree_;
  Context* context_;
  TextBuilder* out_ = nullptr;
  ActivationPtr variables_;
  std::deque<Context> contexts_;  ///< of scoped blocks; references to blocks point at them
  Value filtered_;                ///< what a filter block has captured
  int depth_ = 0, calls_ = 0;
};

}  // namespace moe::inline MOE_ABI::chat

// The for loop: its filter, its variable, its recursion.

#include "chat/evaluator.hpp"
#include "chat/evaluator_guards.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

/// loop(...) inside a loop with `recursive`.
class LoopAgain : public Function {
 public:
  LoopAgain(const Stmt& node, ActivationPtr closure, std::int64_t depth0)
      : node_(node), closure_(std::move(closure)), depth0_(depth0) {}
  Value call(Run& run, const Args& args) override {
    if (args.positional.size() != 1 || !args.named.empty())
      return run.type_error("LoopContext.__call__() takes one argument ({} given)", args.positional.size());
    return run.evaluator->call_loop(node_, closure_, args.positional[0], depth0_);
  }

 private:
  const Stmt& node_;
  ActivationPtr closure_;
  std::int64_t depth0_;
};

// The items that the loop's own `if` keeps.
std::shared_ptr<Iterator> filtered(const Stmt& node, const ActivationPtr& closure, std::shared_ptr<Iterator> source) {
  auto variables = std::make_shared<Activation>(node.test_function, closure);
  return generate("generator", [&node, variables, source, entered = false](Run& run, Value& item) mutable {
    if (!entered) run.evaluator->enter_loop_test(node, variables);
    entered = true;
    for (Value next; run.ok() && source->next(run, next);) {
      item = next;
      if (run.evaluator->loop_test(node, variables, item)) return run.ok();
    }
    return false;
  });
}

}  // namespace

void Evaluator::enter_loop_test(const Stmt& node, const ActivationPtr& variables) {
  const Inside inside(*this, variables, nullptr);
  enter(node.test_scope);
}

bool Evaluator::loop_test(const Stmt& node, const ActivationPtr& variables, Value& item) {
  const Inside inside(*this, variables, nullptr);
  assign(*node.test_target, item);
  const Value test = run_.ok() ? expression(*node.test) : Value();
  if (!run_.ok() || !truthy(test)) return false;
  item = target_value(*node.test_target);
  return true;
}

// What was unpacked is packed again, as a tuple.
Value Evaluator::target_value(const Expr& target) {
  if (target.kind == ExprKind::name) return variable(target.ref);
  std::vector<Value> items;
  for (const ExprPtr& item : target.items) items.push_back(target_value(*item));
  return run_.tuple(std::move(items));
}

Evaluator::Flow Evaluator::loop(const Stmt& node) {
  const Value iterable = expression(*node.value);
  if (!run_.ok()) return Flow::normal;
  if (!node.recursive) return loop_over(node, iterable, 0, {});
  const Value text = call_loop(node, variables_, iterable, 0);
  if (run_.ok()) out_->add(text.text());
  return Flow::normal;
}

Value Evaluator::call_loop(const Stmt& node, ActivationPtr closure, const Value& iterable, std::int64_t depth0) {
  const Deeper deeper(*this);
  if (!run_.ok()) return {};
  TextBuilder captured(run_);
  {
    const Inside inside(*this,
                        run_.make<Activation>(static_cast<std::size_t>(node.function.slot_count) * sizeof(Value),
                                              node.function, closure),
                        &captured);
    const Value again(Kind::function, run_.make<LoopAgain>(0, node, closure, depth0 + 1));
    if (run_.ok()) loop_over(node, iterable, depth0, again);
  }
  return captured.finish();
}

Evaluator::Flow Evaluator::loop_over(const Stmt& node, const Value& iterable, std::int64_t depth0,
                                     const Value& recurse) {
  std::shared_ptr<Iterator> source = iterate(run_, iterable);
  if (source == nullptr) return Flow::normal;
  auto loop = run_.make<Loop>(0);
  loop->iterable = node.test != nullptr ? Value() : iterable;
  loop->depth0 = depth0;
  loop->recurse = recurse;
  // The filter's scope is inside the scope that contains the loop, even if the loop is a function itself.
  if (node.test != nullptr) source = filtered(node, node.recursive ? variables_->outer : variables_, std::move(source));
  loop->source = std::move(source);
  bool completed = false;
  Flow flow = loop_items(node, loop, completed);
  if (!run_.ok()) {
    run_.keep(std::move(loop));
    return Flow::normal;
  }
  leave(node.scope);
  // `loop` may have been stored; a chain of such loops must not be destroyed recursively.
  if (loop.use_count() > 1) run_.keep(std::move(loop));
  // As in jinja2: the else branch runs if no iteration was completed; break and continue do not complete one.
  if (completed || node.otherwise.empty()) return Flow::normal;
  enter(node.else_scope);
  flow = body(node.otherwise);
  leave(node.else_scope);
  return flow;
}

Evaluator::Flow Evaluator::loop_items(const Stmt& node, const std::shared_ptr<Loop>& loop, bool& completed) {
  Value item;
  while (run_.ok() && loop->next(run_, item)) {
    if (!run_.step()) break;
    assign(*node.target, item);
    if (!run_.ok()) break;
    if (node.loop_slot >= 0) variables_->slots[static_cast<std::size_t>(node.loop_slot)] = Value(Kind::loop, loop);
    enter(node.scope);
    const Flow flow = body(node.body);
    if (flow == Flow::leave) break;
    if (flow == Flow::normal) completed = true;
  }
  return Flow::normal;
}

}  // namespace moe::inline MOE_ABI::chat

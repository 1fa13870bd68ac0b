#include "chat/evaluator.hpp"
#include "chat/evaluator_guards.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {

Activation::Activation(const FunctionInfo& function, std::shared_ptr<Activation> around)
    : slots(static_cast<std::size_t>(function.slot_count), Value::missing()), outer(std::move(around)) {}

void Activation::clear() {
  slots.clear();
  outer = nullptr;
}

Value& Evaluator::variable(const Ref& ref) {
  Activation* activation = variables_.get();
  for (int i = 0; i < ref.hops; ++i) activation = activation->outer.get();
  return activation->slots[static_cast<std::size_t>(ref.slot)];
}

void Evaluator::enter(const Scope& scope) {
  for (const Load& load : scope.loads) {
    Value& slot = variables_->slots[static_cast<std::size_t>(load.slot)];
    switch (load.from) {
      case Load::From::parameter: break;
      case Load::From::context: slot = context_->find(run_, load.name); break;
      case Load::From::outer: slot = variable(load.outer); break;
      case Load::From::nothing: slot = Value::missing(); break;
    }
  }
}

void Evaluator::leave(const Scope& scope) {
  for (const Load& load : scope.loads) variables_->slots[static_cast<std::size_t>(load.slot)] = Value::missing();
}

Evaluator::Flow Evaluator::body(const Body& nodes) {
  const Deeper deeper(*this);
  for (const StmtPtr& node : nodes) {
    if (!run_.step()) return Flow::normal;
    const Flow flow = statement(*node);
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Evaluator::Flow Evaluator::statement(const Stmt& node) {
  run_.line = node.line;
  switch (node.kind) {
    case StmtKind::output: output(node); break;
    case StmtKind::loop: return loop(node);
    case StmtKind::branch: return branch(node);
    case StmtKind::macro: macro(node); break;
    case StmtKind::call: call_statement(node); break;
    case StmtKind::filter: return filter(node);
    case StmtKind::with: return with(node);
    case StmtKind::set: set(node); break;
    case StmtKind::set_block: return set_block(node);
    case StmtKind::block: block(node); break;
    case StmtKind::plain_scope: {
      enter(node.scope);
      const Flow flow = body(node.body);
      leave(node.scope);
      return flow;
    }
    case StmtKind::leave: return Flow::leave;
    case StmtKind::next: return Flow::next;
    case StmtKind::load_template:
      expression(*node.value);
      run_.type_error("no loader for this environment specified (tag {})", node.name);
      break;
  }
  return Flow::normal;
}

void Evaluator::output(const Stmt& node) {
  for (const ExprPtr& value : node.exprs) {
    if (!run_.ok()) return;
    if (value->kind == ExprKind::constant && value->value.is_text()) {
      run_.look(value->value.text().bytes().size());
      out_->add(value->value.text());
    } else {
      const Value printed = expression(*value);
      if (run_.ok()) add_str(run_, *out_, printed);
    }
  }
}

// Filter and call blocks write what they get as it is; it should be a text already.
void Evaluator::write_text(const Value& value) {
  if (!run_.ok()) return;
  if (value.is_text())
    out_->add(value.text());
  else
    out_->add_wrong(type_name(value));
}

Evaluator::Flow Evaluator::branch(const Stmt& node) {
  for (const Branch& b : node.branches) {
    const Value test = expression(*b.test);
    if (!run_.ok()) return Flow::normal;
    if (truthy(test)) return body(b.body);
  }
  return body(node.otherwise);
}

Evaluator::Flow Evaluator::filter(const Stmt& node) {
  enter(node.scope);
  TextBuilder captured(run_);
  TextBuilder* const out = std::exchange(out_, &captured);
  const Flow flow = body(node.body);
  out_ = out;
  if (flow != Flow::normal) return flow;
  const Value text = captured.finish();
  const Value before = std::exchange(filtered_, text);
  const Value result = run_.ok() ? expression(*node.filter) : Value();
  filtered_ = before;
  write_text(result);
  leave(node.scope);
  return flow;
}

Evaluator::Flow Evaluator::with(const Stmt& node) {
  enter(node.scope);
  for (std::size_t i = 0; i < node.exprs.size() && run_.ok(); ++i) {
    const Value value = expression(*node.exprs[i]);
    if (run_.ok()) assign(*node.more[i], value);
  }
  if (!run_.ok()) return Flow::normal;
  const Flow flow = body(node.body);
  leave(node.scope);
  return flow;
}

void Evaluator::set(const Stmt& node) {
  if (!spaces_only(*node.target)) return;
  const Value value = expression(*node.value);
  if (!run_.ok()) return;
  assign(*node.target, value);
  if (node.exported) export_names(*node.target);
}

Evaluator::Flow Evaluator::set_block(const Stmt& node) {
  enter(node.scope);
  TextBuilder captured(run_);
  TextBuilder* const out = std::exchange(out_, &captured);
  const Flow flow = body(node.body);
  out_ = out;
  if (flow != Flow::normal) return flow;
  Value value = captured.finish();
  if (node.filter != nullptr && run_.ok()) {
    const Value before = std::exchange(filtered_, value);
    value = expression(*node.filter);
    filtered_ = before;
  }
  if (!run_.ok() || !spaces_only(*node.target)) return Flow::normal;
  assign(*node.target, value);
  if (node.exported) export_names(*node.target);
  leave(node.scope);
  return Flow::normal;
}

// Every ns.x in the target must belong to a namespace.
bool Evaluator::spaces_only(const Expr& target) {
  if (target.kind == ExprKind::space_attribute && !variable(target.ref).is(Kind::space)) {
    run_.fail(FaultKind::refused, "TemplateRuntimeError", "cannot assign attribute on non-namespace object");
    return false;
  }
  for (const ExprPtr& item : target.items)
    if (!spaces_only(*item)) return false;
  return true;
}

void Evaluator::assign_attribute(const Expr& target, const Value& value) {
  if (target.attribute.substr(0, 1) == "_") {
    run_.fail(FaultKind::refused, "SecurityError",
              fmt::format("Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. "
                          "Please rename the attribute.",
                          repr_of(target.attribute)));
    return;
  }
  variable(target.ref).as<Space>().attributes->set(Value(Text::make(target.attribute)), value);
}

void Evaluator::assign(const Expr& target, const Value& value) {
  if (target.kind == ExprKind::name) {
    variable(target.ref) = value;
    return;
  }
  if (target.kind == ExprKind::space_attribute) return assign_attribute(target, value);
  if (!is_iterable(value)) {
    run_.type_error("cannot unpack non-iterable {} object", type_name(value));
    return;
  }
  const std::vector<Value> items = to_vector(run_, value);
  if (!run_.ok()) return;
  if (items.size() != target.items.size()) {
    if (items.size() > target.items.size())
      run_.value_error("too many values to unpack (expected {})", target.items.size());
    else
      run_.value_error("not enough values to unpack (expected {}, got {})", target.items.size(), items.size());
    return;
  }
  for (std::size_t i = 0; i < items.size() && run_.ok(); ++i) assign(*target.items[i], items[i]);
}

// Blocks do not see the variables of the template but those of the context.
void Evaluator::export_names(const Expr& target) {
  if (tree_.blocks.empty()) return;
  if (target.kind == ExprKind::name) context_->set(target.name, variable(target.ref));
  for (const ExprPtr& item : target.items) export_names(*item);
}

}  // namespace moe::inline MOE_ABI::chat

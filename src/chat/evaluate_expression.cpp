#include <algorithm>
#include <cmath>

#include "chat/evaluator.hpp"
#include "chat/evaluator_guards.hpp"
#include "chat/filters.hpp"
#include "chat/iterate.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {

Value Evaluator::expression(const Expr& node) {
  if (node.kind == ExprKind::constant) return node.value;
  const Deeper deeper(*this);
  if (!run_.step()) return {};
  run_.line = node.line;
  switch (node.kind) {
    case ExprKind::name: return name(node);
    case ExprKind::tuple:
    case ExprKind::list: return sequence(node);
    case ExprKind::dict: return dict(node);
    case ExprKind::logical_and:
    case ExprKind::logical_or: {
      Value left = expression(*node.items[0]);
      if (!run_.ok() || truthy(left) == (node.kind == ExprKind::logical_or)) return left;
      return expression(*node.items[1]);
    }
    case ExprKind::concat: return concat(node);
    case ExprKind::compare: return compare_chain(node);
    case ExprKind::item: return item(node);
    case ExprKind::condition: return condition(node);
    case ExprKind::call: return call(node, nullptr);
    case ExprKind::filter:
    case ExprKind::test: return filter_or_test(node);
    default: break;
  }
  const Value first = expression(*node.items[0]);
  if (!run_.ok()) return {};
  switch (node.kind) {
    case ExprKind::negate: return negate(run_, first);
    case ExprKind::plus: return plus(run_, first);
    case ExprKind::logical_not: return !truthy(first);
    case ExprKind::attribute: return get_attribute(run_, first, node.name);
    default: break;
  }
  const Value second = expression(*node.items[1]);
  if (!run_.ok()) return {};
  if (node.folded && first.is_number() && std::signbit(first.real())) {
    // The reference writes a constant base as Python's text, without brackets, and to Python -2 ** n is -(2 ** n).
    const Value base = negate(run_, first);
    const Value power = run_.ok() ? arithmetic(run_, node.operation, base, second) : Value();
    return run_.ok() ? negate(run_, power) : Value();
  }
  return arithmetic(run_, node.operation, first, second);
}

Value Evaluator::name(const Expr& node) {
  const Value& value = variable(node.ref);
  if (!value.is_missing()) return value;
  return run_.undefined(fmt::format("{} is undefined", repr_of(node.name)));
}

Value Evaluator::sequence(const Expr& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExprPtr& item : node.items) {
    items.push_back(expression(*item));
    if (!run_.ok()) return {};
  }
  return node.kind == ExprKind::list ? run_.list(std::move(items)) : run_.tuple(std::move(items));
}

Value Evaluator::dict(const Expr& node) {
  auto dict = std::make_shared<Dict>();
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Value key = expression(*node.items[i]);
    const Value value = run_.ok() ? expression(*node.items[i + 1]) : Value();
    if (!run_.ok()) return {};
    if (!hashable(key)) return run_.type_error("unhashable type: '{}'", type_name(key));
    if (!run_.walk(key)) return {};
    dict->set(key, value);
  }
  return run_.dict(std::move(dict));
}

Value Evaluator::concat(const Expr& node) {
  std::vector<Value> parts;
  for (const ExprPtr& item : node.items) {
    parts.push_back(expression(*item));
    if (!run_.ok()) return {};
  }
  TextBuilder out(run_);
  for (const Value& part : parts) add_str(run_, out, part);
  return out.finish();
}

// a < b < c: each operand is evaluated once, and none after the first comparison that fails.
Value Evaluator::compare_chain(const Expr& node) {
  Value left = expression(*node.items[0]);
  for (std::size_t i = 0; i < node.comparisons.size(); ++i) {
    if (!run_.ok()) return {};
    Value right = expression(*node.items[i + 1]);
    if (!run_.ok()) return {};
    if (!compare(run_, node.comparisons[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::item(const Expr& node) {
  const Value object = expression(*node.items[0]);
  if (!run_.ok()) return {};
  const Expr& key = *node.items[1];
  if (key.kind != ExprKind::slice) {
    const Value index = expression(key);
    return run_.ok() ? get_item(run_, object, index) : Value();
  }
  Value bounds[3];
  for (int i = 0; i < 3; ++i) {
    if (key.items[static_cast<std::size_t>(i)] != nullptr)
      bounds[i] = expression(*key.items[static_cast<std::size_t>(i)]);
    if (!run_.ok()) return {};
  }
  // Compiled code slices as Python does; a constant goes through the sandbox, for which this is a missing element.
  const bool can_be_sliced =
      object.is_text() || object.is_sequence() || object.is(Kind::range) || object.is_undefined();
  if (node.folded && !can_be_sliced) return run_.undefined(fmt::format("{} object has no element", type_name(object)));
  return slice(run_, object, bounds[0], bounds[1], bounds[2]);
}

Value Evaluator::condition(const Expr& node) {
  const Value test = expression(*node.items[0]);
  if (!run_.ok()) return {};
  if (truthy(test)) return expression(*node.items[1]);
  if (node.items[2] != nullptr) return expression(*node.items[2]);
  return run_.undefined(fmt::format(
      "the inline if-expression on line {} evaluated to false and no else section was defined.", node.line));
}

bool Evaluator::spread_named(const Expr& node, Args& args) {
  const Value dict = expression(*node.spread_named);
  if (!run_.ok()) return false;
  if (dict.is_undefined()) return run_.use_of(dict), false;
  if (!dict.is(Kind::dict))
    return run_.type_error("argument after ** must be a mapping, not {}", type_name(dict)), false;
  for (const auto& [key, value] : dict.as<Dict>().entries()) {
    if (!run_.step()) return false;
    if (!key.is_text()) return run_.type_error("keywords must be strings"), false;
    if (args.named_value(key.text().bytes()) != nullptr)
      return run_.type_error("got multiple values for keyword argument {}", repr_of(key.text().bytes())), false;
    args.named.emplace_back(key.text().bytes(), value);
  }
  return true;
}

bool Evaluator::arguments(const Expr& node, Args& args) {
  for (std::size_t i = 1; i < node.items.size(); ++i) {
    args.positional.push_back(expression(*node.items[i]));
    if (!run_.ok()) return false;
  }
  if (node.spread != nullptr) {
    const Value more = expression(*node.spread);
    if (!run_.ok()) return false;
    for (Value& value : to_vector(run_, more)) args.positional.push_back(std::move(value));
    if (!run_.ok()) return false;
  }
  for (const Keyword& keyword : node.named) {
    args.named.emplace_back(keyword.name, expression(*keyword.value));
    if (!run_.ok()) return false;
  }
  return node.spread_named == nullptr || spread_named(node, args);
}

Value Evaluator::call(const Expr& node, const Value* caller) {
  const Value callee = expression(*node.items[0]);
  Args args;
  if (!run_.ok() || !arguments(node, args)) return {};
  if (caller != nullptr) args.named.emplace_back("caller", *caller);
  run_.line = node.line;
  return call_value(run_, callee, args);
}

Value Evaluator::filter_or_test(const Expr& node) {
  const Value subject = node.items[0] == nullptr ? filtered_ : expression(*node.items[0]);
  Args args;
  if (!run_.ok() || !arguments(node, args)) return {};
  run_.line = node.line;
  const std::string_view kind = node.kind == ExprKind::filter ? "filter" : "test";
  if (node.function == nullptr)
    return run_.fail(FaultKind::refused, "TemplateRuntimeError",
                     fmt::format("No {} named {} found.", kind, repr_of(node.name)));
  if (node.function->call == nullptr) return run_.unsupported("the {} {} is not known here", kind, node.name);
  return node.function->call(run_, subject, args);
}

}  // namespace moe::inline MOE_ABI::chat

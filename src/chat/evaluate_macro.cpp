// Macros, call blocks and blocks: the functions of a template.

#include <algorithm>

#include "chat/evaluator.hpp"
#include "chat/evaluator_guards.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

class Macro : public Function {
 public:
  Macro(const Stmt& node, ActivationPtr closure) : node_(node), closure_(std::move(closure)) {}
  Value call(Run& run, const Args& args) override { return run.evaluator->call_macro(node_, closure_, args); }
  std::string repr() const override {
    return node_.kind == StmtKind::macro ? fmt::format("<Macro {}>", repr_of(node_.name)) : "<Macro anonymous>";
  }
  std::string_view type_name() const override { return "Macro"; }
  Value attribute(Run& run, std::string_view name) override {
    if (name == "name") return node_.kind == StmtKind::macro ? run.text(node_.name) : Value();
    if (name == "catch_kwargs") return node_.wants_named;
    if (name == "catch_varargs") return node_.wants_rest;
    if (name == "caller") return node_.wants_caller;
    if (name == "explicit_caller") return parameter_count("caller") > 0;
    if (name != "arguments") return Value::missing();
    std::vector<Value> names;
    for (const ExprPtr& parameter : node_.exprs) names.push_back(run.text(parameter->name));
    return run.tuple(std::move(names));
  }

 private:
  int parameter_count(std::string_view name) const {
    int count = 0;
    for (const ExprPtr& parameter : node_.exprs) count += parameter->name == name ? 1 : 0;
    return count;
  }
  const Stmt& node_;
  ActivationPtr closure_;
};

/// self.name: calls the block.
class BlockReference : public Function {
 public:
  BlockReference(const Stmt& node, Context& context) : node_(node), context_(context) {}
  Value call(Run& run, const Args& args) override {
    if (!args.positional.empty() || !args.named.empty()) return run.type_error("a block takes no arguments");
    return run.evaluator->call_block(node_, context_);
  }
  std::string_view type_name() const override { return "BlockReference"; }
  Value attribute(Run& run, std::string_view name) override {
    if (name == "name") return run.text(node_.name);
    if (name == "super") return run.undefined(fmt::format("there is no parent block called {}.", repr_of(node_.name)));
    return Value::missing();
  }

 private:
  const Stmt& node_;
  Context& context_;
};

/// The variable `self`.
class SelfReference : public Thing {
 public:
  explicit SelfReference(Context& context) : context_(context) {}
  std::string_view type_name() const override { return "TemplateReference"; }
  Value attribute(Run&, std::string_view) override { return Value::missing(); }
  Value item(Run& run, std::string_view name) override {
    const auto& blocks = run.evaluator->tree().blocks;
    const auto found = blocks.find(name);
    if (found == blocks.end()) return Value::missing();
    return Value(Kind::function, run.make<BlockReference>(0, *found->second, context_));
  }

 private:
  Context& context_;
};

}  // namespace

void Evaluator::render(TextBuilder& out) {
  const Inside inside(*this, std::make_shared<Activation>(tree_.function, nullptr), &out);
  if (tree_.self_slot >= 0)
    variables_->slots[static_cast<std::size_t>(tree_.self_slot)] =
        Value(Kind::thing, run_.make<SelfReference>(0, *context_));
  enter(tree_.scope);
  body(tree_.body);
}

Value Evaluator::make_macro(const Stmt& node) { return Value(Kind::function, run_.make<Macro>(0, node, variables_)); }

void Evaluator::macro(const Stmt& node) {
  variable(node.ref) = make_macro(node);
  if (node.exported && !tree_.blocks.empty()) context_->set(node.name, variable(node.ref));
}

void Evaluator::call_statement(const Stmt& node) {
  const Value caller = make_macro(node);
  // The tag generation marks the assistant's text; it just runs its body.
  const Value result = node.value == nullptr ? call_value(run_, caller, {}) : call(*node.value, &caller);
  write_text(result);
}

// Arguments into the macro's variables, by the rules of jinja2's Macro. Parameters without an argument stay missing.
bool Evaluator::bind_macro(const Stmt& node, const Args& args, Activation& variables) {
  const std::string shown = node.kind == StmtKind::macro ? repr_of(node.name) : "None";
  const auto slot = [&](int i) -> Value& { return variables.slots[static_cast<std::size_t>(i)]; };
  std::vector<std::pair<std::string, Value>> named = args.named;
  const auto take = [&](std::string_view name) {
    for (auto it = named.begin(); it != named.end(); ++it) {
      if (it->first != name) continue;
      Value value = std::move(it->second);
      named.erase(it);
      return value;
    }
    return Value::missing();
  };
  const std::size_t given = std::min(args.positional.size(), node.exprs.size());
  for (std::size_t i = 0; i < node.exprs.size(); ++i)
    slot(node.exprs[i]->ref.slot) = i < given ? args.positional[i] : take(node.exprs[i]->name);
  if (node.caller_slot >= 0) {
    const Value caller = take("caller");
    slot(node.caller_slot) = caller.is_missing() || caller.is_none() ? run_.undefined("No caller defined") : caller;
  }
  if (node.named_slot >= 0) {
    auto rest = std::make_shared<Dict>();
    for (auto& [name, value] : named) rest->set(run_.text(name), value);
    slot(node.named_slot) = run_.dict(std::move(rest));
  } else if (!named.empty()) {
    const bool caller = std::any_of(named.begin(), named.end(), [](const auto& n) { return n.first == "caller"; });
    if (caller)
      run_.type_error("macro {} was invoked with two values for the special caller argument", shown);
    else
      run_.type_error("macro {} takes no keyword argument {}", shown, repr_of(named[0].first));
    return false;
  }
  if (node.rest_slot >= 0) {
    slot(node.rest_slot) =
        run_.tuple({args.positional.begin() + static_cast<std::ptrdiff_t>(given), args.positional.end()});
  } else if (args.positional.size() > node.exprs.size()) {
    run_.type_error("macro {} takes not more than {} argument(s)", shown, node.exprs.size());
    return false;
  }
  return run_.ok();
}

Value Evaluator::call_macro(const Stmt& node, ActivationPtr closure, const Args& args) {
  const Deeper deeper(*this);
  if (!run_.ok()) return {};
  auto variables =
      run_.make<Activation>(static_cast<std::size_t>(node.function.slot_count) * sizeof(Value), node.function, closure);
  if (!bind_macro(node, args, *variables)) return {};
  TextBuilder captured(run_);
  {
    const Inside inside(*this, std::move(variables), &captured);
    enter(node.scope);
    const std::size_t first_default = node.exprs.size() - node.more.size();
    for (std::size_t i = 0; i < node.exprs.size() && run_.ok(); ++i) {
      if (!variable(node.exprs[i]->ref).is_missing()) continue;
      const Value value =
          i >= first_default
              ? expression(*node.more[i - first_default])
              : run_.undefined(fmt::format("parameter {} was not provided", repr_of(node.exprs[i]->name)));
      variable(node.exprs[i]->ref) = value;
    }
    if (run_.ok()) body(node.body);
  }
  return captured.finish();
}

Value Evaluator::call_block(const Stmt& node, Context& context) {
  const Deeper deeper(*this);
  if (!run_.ok()) return {};
  TextBuilder captured(run_);
  Context* const before = std::exchange(context_, &context);
  {
    const Inside inside(*this,
                        run_.make<Activation>(static_cast<std::size_t>(node.function.slot_count) * sizeof(Value),
                                              node.function, nullptr),
                        &captured);
    if (node.caller_slot >= 0)
      variables_->slots[static_cast<std::size_t>(node.caller_slot)] =
          Value(Kind::thing, run_.make<SelfReference>(0, context));
    if (node.rest_slot >= 0)
      variables_->slots[static_cast<std::size_t>(node.rest_slot)] =
          run_.undefined(fmt::format("there is no parent block called {}.", repr_of(node.name)));
    enter(node.scope);
    body(node.body);
  }
  context_ = before;
  return captured.finish();
}

void Evaluator::block(const Stmt& node) {
  if (node.required) {
    run_.fail(FaultKind::refused, "TemplateRuntimeError",
              fmt::format("Required block {} not found", repr_of(node.name)));
    return;
  }
  Context& context = node.scoped ? contexts_.emplace_back(*context_) : *context_;
  for (const auto& [name, ref] : node.locals)
    if (!variable(ref).is_missing()) context.set(name, variable(ref));
  const Value text = call_block(node, context);
  if (run_.ok()) out_->add(text.text());
}

}  // namespace moe::inline MOE_ABI::chat

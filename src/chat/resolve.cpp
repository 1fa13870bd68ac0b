#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "chat/collect_names.hpp"
#include "chat/parser.hpp"
#include "chat/symbols.hpp"
#include "chat/undeclared.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

bool stores_loop(const Expr& node) {
  return (node.kind == ExprKind::name && node.stored && node.name == "loop") ||
         std::any_of(node.items.begin(), node.items.end(),
                     [](const ExprPtr& i) { return i != nullptr && stores_loop(*i); });
}

/// What holds while statements are resolved.
struct Frame {
  Symbols& symbols;
  bool toplevel = false;  ///< of the template, if-branches included
  bool soft = false;      ///< directly in an if: unknown filters are an error only when they are reached
  bool in_loop = false;   ///< break and continue have a loop of the same function around them
};

class Resolver {
 public:
  explicit Resolver(Tree& tree) : tree_(tree) {}

  tl::expected<void, Fault> run() {
    collect_blocks(tree_.body);
    FunctionScope function(tree_.function, nullptr);
    Symbols symbols(function, nullptr);
    Undeclared names{"self"};
    names.walk(tree_.body);
    if (names.found("self")) {
      symbols.declare_parameter("self");
      tree_.self_slot = symbols.ref("self", function).slot;
    }
    NameCollector(symbols).body(tree_.body);
    tree_.scope = symbols.scope();
    body(tree_.body, {symbols, true, false, false});
    for (Stmt* block : blocks_) resolve_block(*block);
    if (fault_) return tl::unexpected(*fault_);
    return {};
  }

 private:
  void fail(int line, std::string message, FaultKind kind = FaultKind::syntax) {
    if (!fault_) fault_ = Fault{kind, "TemplateSyntaxError", std::move(message), line};
  }

  void collect_blocks(Body& nodes) {
    for (StmtPtr& node : nodes) {
      if (node->kind == StmtKind::block) {
        if (!tree_.blocks.emplace(node->name, node.get()).second)
          fail(node->line, fmt::format("block '{}' defined twice", node->name));
        blocks_.push_back(node.get());
      }
      for (Branch& branch : node->branches) collect_blocks(branch.body);
      collect_blocks(node->body);
      collect_blocks(node->otherwise);
    }
  }

  // Blocks see the context only.
  void resolve_block(Stmt& node) {
    FunctionScope function(node.function, nullptr);
    Symbols symbols(function, nullptr);
    Undeclared names{"self", "super"};
    names.walk(node.body);
    for (const char* name : {"self", "super"}) {
      if (!names.found(name)) continue;
      symbols.declare_parameter(name);
      (name[1] == 'e' ? node.caller_slot : node.rest_slot) = symbols.ref(name, function).slot;
    }
    NameCollector(symbols).body(node.body);
    node.scope = symbols.scope();
    body(node.body, {symbols, false, false, false});
  }

  void body(Body& nodes, const Frame& frame) {
    for (StmtPtr& node : nodes) statement(*node, frame);
  }

  void expressions(std::vector<ExprPtr>& nodes, const Frame& frame) {
    for (ExprPtr& node : nodes) expression(node, frame);
  }

  void expression(const ExprPtr& node, Frame frame) {
    if (node == nullptr) return;
    if (node->kind == ExprKind::name || node->kind == ExprKind::space_attribute) {
      node->ref = frame.symbols.ref(node->name, frame.symbols.function());
      if (node->ref.slot < 0)
        fail(node->line,
             fmt::format("Tried to resolve a name to a reference that was unknown to the frame ('{}')", node->name));
    }
    if ((node->kind == ExprKind::filter || node->kind == ExprKind::test) && node->function == nullptr && !frame.soft)
      fail(node->line, fmt::format("No {} named '{}'.", node->kind == ExprKind::filter ? "filter" : "test",
                                   node->name.substr(0, 60)));
    if (node->kind == ExprKind::condition) frame.soft = true;
    expressions(node->items, frame);
    for (Keyword& keyword : node->named) expression(keyword.value, frame);
    expression(node->spread, frame);
    expression(node->spread_named, frame);
  }

  void statement(Stmt& node, const Frame& frame) {
    switch (node.kind) {
      case StmtKind::output: return expressions(node.exprs, frame);
      case StmtKind::loop: return loop(node, frame);
      case StmtKind::branch: return branch(node, frame);
      case StmtKind::macro:
        node.exported = frame.toplevel;
        node.ref = frame.symbols.ref(node.name, frame.symbols.function());
        return function(node, frame);
      case StmtKind::call: function(node, frame); return expression(node.value, frame);
      case StmtKind::filter: return filter(node, frame);
      case StmtKind::with: return with(node, frame);
      case StmtKind::set:
        node.exported = frame.toplevel;
        expression(node.target, frame);
        return expression(node.value, frame);
      case StmtKind::set_block: return set_block(node, frame);
      case StmtKind::block:
        if (!node.scoped) return;
        for (const std::string& name : frame.symbols.all_stores())
          node.locals.emplace_back(name, frame.symbols.ref(name, frame.symbols.function()));
        return;
      case StmtKind::plain_scope: return plain_scope(node, frame);
      case StmtKind::leave:
      case StmtKind::next:
        if (!frame.in_loop) fail(node.line, "'break' and 'continue' belong into a loop");
        return;
      case StmtKind::load_template:
        if (node.name == "extends" && !frame.toplevel) fail(node.line, "cannot use extend from a non top-level scope");
        return expression(node.value, frame);
    }
  }

  void branch(Stmt& node, Frame frame) {
    frame.soft = true;
    for (Branch& b : node.branches) {
      expression(b.test, frame);
      body(b.body, frame);
    }
    body(node.otherwise, frame);
  }

  static ExprPtr copy_target(const Expr& target) {
    auto copy = std::make_unique<Expr>();
    copy->kind = target.kind;
    copy->line = target.line;
    copy->name = target.name;
    copy->stored = target.stored;
    for (const ExprPtr& item : target.items) copy->items.push_back(copy_target(*item));
    return copy;
  }

  void loop_test(Stmt& node, const Frame& frame) {
    FunctionScope function(node.test_function, &frame.symbols.function());
    Symbols symbols(function, &frame.symbols);
    node.test_target = copy_target(*node.target);
    NameCollector collector(symbols);
    collector.parameter(*node.target);
    collector.expression(node.test);
    node.test_scope = symbols.scope();
    const Frame inner{symbols, false, false, false};
    expression(node.test_target, inner);
    expression(node.test, inner);
  }

  static bool has_scoped_block(const Body& nodes) {
    return std::any_of(nodes.begin(), nodes.end(), [](const StmtPtr& node) {
      return (node->kind == StmtKind::block && node->scoped) || has_scoped_block(node->body) ||
             has_scoped_block(node->otherwise) ||
             std::any_of(node->branches.begin(), node->branches.end(),
                         [](const Branch& b) { return has_scoped_block(b.body); });
    });
  }

  void check_loop_stores(const Stmt& node, int line) {
    if (node.target != nullptr && node.kind != StmtKind::macro && stores_loop(*node.target))
      fail(line, "Can't assign to special loop variable in for-loop target");
    for (const Branch& branch : node.branches)
      for (const StmtPtr& inner : branch.body) check_loop_stores(*inner, line);
    for (const StmtPtr& inner : node.body) check_loop_stores(*inner, line);
    for (const StmtPtr& inner : node.otherwise) check_loop_stores(*inner, line);
  }

  void loop(Stmt& node, const Frame& frame) {
    expression(node.value, frame);
    if (node.test != nullptr) loop_test(node, frame);
    if (loops_++ == 0) check_loop_stores(node, node.line);
    std::optional<FunctionScope> own;
    if (node.recursive) own.emplace(node.function, &frame.symbols.function());
    FunctionScope& function = own ? *own : frame.symbols.function();
    Symbols inner(function, &frame.symbols);
    Undeclared names{"loop"};
    names.walk(node.body);
    if (node.recursive || names.found("loop") || has_scoped_block(node.body)) {
      inner.declare_parameter("loop");
      node.loop_slot = inner.ref("loop", function).slot;
    }
    NameCollector collector(inner);
    collector.parameter(*node.target);
    collector.body(node.body);
    node.scope = inner.scope();
    const Frame body_frame{inner, false, false, true};
    expression(node.target, body_frame);
    body(node.body, body_frame);
    --loops_;
    if (node.otherwise.empty()) return;
    Symbols other(function, &frame.symbols);
    NameCollector(other).body(node.otherwise);
    node.else_scope = other.scope();
    body(node.otherwise, {other, false, false, frame.in_loop && !node.recursive});
  }

  // Macros and call blocks.
  void function(Stmt& node, const Frame& frame) {
    FunctionScope function(node.function, &frame.symbols.function());
    Symbols inner(function, &frame.symbols);
    Undeclared names{"caller", "kwargs", "varargs"};
    names.walk(node.body);
    NameCollector collector(inner);
    collector.parameters(node.exprs);
    const auto declared = [&](std::string_view name) {
      return std::find_if(node.exprs.begin(), node.exprs.end(), [&](const ExprPtr& p) { return p->name == name; });
    };
    const auto special = [&](const char* name, bool& wanted, int& slot) {
      if (!names.found(name) || declared(name) != node.exprs.end()) return;
      wanted = true;
      inner.declare_parameter(name);
      slot = inner.ref(name, function).slot;
    };
    const auto caller = declared("caller");
    if (names.found("caller") && caller != node.exprs.end()) {
      if (node.exprs.end() - caller > static_cast<std::ptrdiff_t>(node.more.size()))
        fail(node.line, "the special \"caller\" argument must be omitted or be given a default");
      node.wants_caller = true;
    }
    special("caller", node.wants_caller, node.caller_slot);
    special("kwargs", node.wants_named, node.named_slot);
    special("varargs", node.wants_rest, node.rest_slot);
    collector.expressions(node.more);
    collector.body(node.body);
    node.scope = inner.scope();
    const Frame inner_frame{inner, false, false, false};
    expressions(node.exprs, inner_frame);
    expressions(node.more, inner_frame);
    body(node.body, inner_frame);
  }

  void filter(Stmt& node, const Frame& frame) {
    Symbols inner(frame.symbols.function(), &frame.symbols);
    NameCollector collector(inner);
    collector.body(node.body);
    collector.expression(node.filter);
    node.scope = inner.scope();
    const Frame inner_frame{inner, false, false, frame.in_loop};
    body(node.body, inner_frame);
    expression(node.filter, inner_frame);
  }

  void with(Stmt& node, const Frame& frame) {
    Symbols inner(frame.symbols.function(), &frame.symbols);
    NameCollector collector(inner);
    collector.parameters(node.more);
    collector.body(node.body);
    node.scope = inner.scope();
    const Frame inner_frame{inner, false, false, frame.in_loop};
    expressions(node.more, inner_frame);
    expressions(node.exprs, frame);
    body(node.body, inner_frame);
  }

  void set_block(Stmt& node, const Frame& frame) {
    node.exported = frame.toplevel;
    Symbols inner(frame.symbols.function(), &frame.symbols);
    NameCollector(inner).body(node.body);
    node.scope = inner.scope();
    const Frame inner_frame{inner, false, false, frame.in_loop};
    body(node.body, inner_frame);
    expression(node.target, frame);
    expression(node.filter, inner_frame);
  }

  void plain_scope(Stmt& node, const Frame& frame) {
    Symbols inner(frame.symbols.function(), &frame.symbols);
    NameCollector(inner).body(node.body);
    node.scope = inner.scope();
    body(node.body, {inner, false, false, frame.in_loop});
  }

  Tree& tree_;
  std::vector<Stmt*> blocks_;
  int loops_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace

tl::expected<void, Fault> resolve_names(Tree& tree) { return Resolver(tree).run(); }

}  // namespace moe::inline MOE_ABI::chat

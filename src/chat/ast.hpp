#pragma once
// The syntax tree of a template. Its height is limited, so recursion over it is safe.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "chat/attributes.hpp"
#include "chat/operators.hpp"

namespace moe::inline MOE_ABI::chat {

/// A variable: the slot in the scope `hops` functions outwards.
struct Ref {
  int hops = 0;
  int slot = -1;
};

/// The initial value of a scope's variable.
struct Load {
  enum class From : std::uint8_t { parameter, context, outer, nothing };
  int slot = 0;
  From from = From::nothing;
  std::string name;  ///< of the context
  Ref outer;
};
struct Scope {
  std::vector<Load> loads;
};

/// Anything with its own variables: the template, macros, call blocks, recursive loops, the filter of a loop.
struct FunctionInfo {
  int slot_count = 0;
  bool has_inner = false;  ///< a function inside may keep the variables alive
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : std::uint8_t {
  constant,
  name,
  space_attribute,  ///< ns.x as the target of set
  tuple,
  list,
  dict,  ///< items: key, value, key, value ...
  negate,
  plus,
  logical_not,
  logical_and,
  logical_or,
  arithmetic,
  concat,   ///< ~
  compare,  ///< items[0], then an operator before each further item
  attribute,
  item,
  slice,   ///< start, stop, step; each may be null
  call,    ///< items[0] is called
  filter,  ///< items[0] is filtered; null inside filter blocks
  test,
  condition,  ///< test, value, other value (null where there is no else)
};

struct Keyword {
  std::string name;
  ExprPtr value;
};

struct Expr {
  ExprKind kind = ExprKind::constant;
  int line = 0;
  int height = 1;
  bool stored = false;  ///< a name that is assigned to
  bool folded = false;  ///< jinja2 evaluates it (or the base of a power) at compile time, with different rules
  Arithmetic operation = Arithmetic::add;
  std::vector<Comparison> comparisons;
  Value value;            ///< of a constant
  std::string name;       ///< variable, attribute, filter or test
  std::string attribute;  ///< of a namespace
  Ref ref;
  std::vector<ExprPtr> items;  ///< operands; positional arguments follow items[0]
  std::vector<Keyword> named;
  ExprPtr spread, spread_named;         ///< *list and **dict
  const MethodRow* function = nullptr;  ///< of a filter or test; null when the name is unknown
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

enum class StmtKind : std::uint8_t {
  output,
  loop,
  branch,
  macro,
  call,  ///< also generation, whose `value` is null
  filter,
  with,
  set,
  set_block,
  block,
  plain_scope,    ///< autoescape false
  leave,          ///< break
  next,           ///< continue
  load_template,  ///< include, import, from, extends: not available
};

struct Branch {
  ExprPtr test;
  Body body;
};

struct Stmt {
  StmtKind kind = StmtKind::output;
  int line = 0;
  std::string name;              ///< macro, block, tag; the name an import is given
  ExprPtr target;                ///< set, loop
  ExprPtr value;                 ///< set: the value; loop: what is walked; call: the call; load_template: the template
  ExprPtr test;                  ///< loop: which items
  ExprPtr test_target;           ///< loop: the target again, as the filter's own variables
  ExprPtr filter;                ///< filter, set_block
  std::vector<ExprPtr> exprs;    ///< output: what is printed; with: the values; macro and call: the parameters
  std::vector<ExprPtr> more;     ///< with: the targets; macro and call: defaults of the last parameters
  std::vector<Branch> branches;  ///< if and elif
  std::vector<std::string> names;                   ///< from ... import: names that are defined
  std::vector<std::pair<std::string, Ref>> locals;  ///< scoped block: the variables it sees besides the context
  Body body, otherwise;
  bool recursive = false, scoped = false, required = false;
  bool exported = false;                                               ///< an assignment that blocks can see
  bool wants_caller = false, wants_named = false, wants_rest = false;  ///< macros that use caller, kwargs, varargs
  int caller_slot = -1, named_slot = -1, rest_slot = -1, loop_slot = -1;
  Ref ref;  ///< macro: its own variable
  Scope scope, else_scope, test_scope;
  FunctionInfo function, test_function;
};

struct Tree {
  Body body;
  FunctionInfo function;
  Scope scope;
  int self_slot = -1;  ///< of the variable `self`, where it is used
  std::map<std::string, const Stmt*, std::less<>> blocks;
};

}  // namespace moe::inline MOE_ABI::chat

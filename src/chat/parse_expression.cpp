#include <algorithm>

#include "chat/filters.hpp"
#include "chat/token_stream.hpp"

namespace moe::inline MOE_ABI::chat {

ExprPtr ExpressionParser::make(ExprKind kind, int line) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = line;
  return node;
}

ExprPtr ExpressionParser::join(ExprKind kind, int line, ExprPtr a, ExprPtr b) const {
  ExprPtr node = make(kind, line);
  node->items.push_back(std::move(a));
  node->items.push_back(std::move(b));
  return node;
}

// Chains like a + b + c grow to the left without recursion here, so the height is counted too.
void ExpressionParser::raise(Expr& parent) {
  const auto grow = [&](const ExprPtr& child) {
    if (child != nullptr) parent.height = std::max(parent.height, child->height + 1);
  };
  for (const ExprPtr& item : parent.items) grow(item);
  for (const Keyword& keyword : parent.named) grow(keyword.value);
  grow(parent.spread);
  grow(parent.spread_named);
  if (parent.height > stream_.limits.nesting) stream_.fail_limit();
}

ExprPtr ExpressionParser::expression(bool conditions) {
  const Level level(stream_);
  int line = stream_.line();
  ExprPtr value = logical_or();
  while (conditions && stream_.skip_name("if")) {
    ExprPtr node = make(ExprKind::condition, line);
    node->items.push_back(logical_or());
    node->items.push_back(std::move(value));
    node->items.push_back(stream_.skip_name("else") ? expression(true) : nullptr);
    raise(*node);
    value = std::move(node);
    line = stream_.line();
  }
  return value;
}

ExprPtr ExpressionParser::logical_or() {
  ExprPtr left = logical_and();
  while (stream_.is_name("or")) {
    const int line = stream_.line();
    stream_.advance();
    left = join(ExprKind::logical_or, line, std::move(left), logical_and());
    raise(*left);
  }
  return left;
}

ExprPtr ExpressionParser::logical_and() {
  ExprPtr left = logical_not();
  while (stream_.is_name("and")) {
    const int line = stream_.line();
    stream_.advance();
    left = join(ExprKind::logical_and, line, std::move(left), logical_not());
    raise(*left);
  }
  return left;
}

ExprPtr ExpressionParser::logical_not() {
  if (!stream_.is_name("not")) return comparison();
  const Level level(stream_);
  ExprPtr node = make(ExprKind::logical_not, stream_.line());
  stream_.advance();
  node->items.push_back(logical_not());
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::comparison() {
  struct Row {
    std::string_view sign;
    Comparison comparison;
  };
  static constexpr Row kRows[] = {{"==", Comparison::eq}, {"!=", Comparison::ne}, {"<", Comparison::lt},
                                  {"<=", Comparison::le}, {">", Comparison::gt},  {">=", Comparison::ge}};
  ExprPtr first = sum();
  ExprPtr node;
  while (stream_.ok()) {
    std::optional<Comparison> op;
    const int line = stream_.line();
    for (const Row& row : kRows)
      if (stream_.is_sign(row.sign)) op = row.comparison;
    if (op) {
      stream_.advance();
    } else if (stream_.skip_name("in")) {
      op = Comparison::in;
    } else if (stream_.is_name("not") && stream_.ahead().kind == TokenKind::name && stream_.ahead().text == "in") {
      stream_.advance();
      stream_.advance();
      op = Comparison::not_in;
    } else {
      break;
    }
    if (node == nullptr) {
      node = make(ExprKind::compare, line);
      node->items.push_back(std::move(first));
    }
    node->comparisons.push_back(*op);
    node->items.push_back(sum());
  }
  if (node == nullptr) return first;
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::sum() {
  ExprPtr left = concatenation();
  while (stream_.is_sign("+") || stream_.is_sign("-")) {
    const Arithmetic op = stream_.is_sign("+") ? Arithmetic::add : Arithmetic::subtract;
    const int line = stream_.line();
    stream_.advance();
    left = join(ExprKind::arithmetic, line, std::move(left), concatenation());
    left->operation = op;
    raise(*left);
  }
  return left;
}

ExprPtr ExpressionParser::concatenation() {
  ExprPtr first = product();
  if (!stream_.is_sign("~")) return first;
  ExprPtr node = make(ExprKind::concat, stream_.line());
  node->items.push_back(std::move(first));
  while (stream_.skip_sign("~")) node->items.push_back(product());
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::product() {
  struct Row {
    std::string_view sign;
    Arithmetic op;
  };
  static constexpr Row kRows[] = {{"*", Arithmetic::multiply},
                                  {"/", Arithmetic::divide},
                                  {"//", Arithmetic::floor_divide},
                                  {"%", Arithmetic::modulo}};
  ExprPtr left = power();
  while (stream_.ok()) {
    const auto* row =
        std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return stream_.is_sign(r.sign); });
    if (row == std::end(kRows)) break;
    const int line = stream_.line();
    stream_.advance();
    left = join(ExprKind::arithmetic, line, std::move(left), power());
    left->operation = row->op;
    raise(*left);
  }
  return left;
}

namespace {

// What the reference computes while it compiles.
bool is_constant(const Expr& node) {
  static constexpr std::string_view kNeedContext[] = {"map", "select", "reject", "selectattr", "rejectattr", "random"};
  if (node.kind == ExprKind::name || node.kind == ExprKind::call) return false;
  if (node.kind == ExprKind::filter &&
      std::find(std::begin(kNeedContext), std::end(kNeedContext), node.name) != std::end(kNeedContext))
    return false;
  const auto constant = [](const ExprPtr& child) { return child == nullptr || is_constant(*child); };
  return std::all_of(node.items.begin(), node.items.end(), constant) && constant(node.spread) &&
         constant(node.spread_named) &&
         std::all_of(node.named.begin(), node.named.end(), [&](const Keyword& k) { return constant(k.value); });
}

void mark_slices(Expr& node) {
  node.folded = node.folded || node.kind == ExprKind::item;
  for (const ExprPtr& item : node.items)
    if (item != nullptr) mark_slices(*item);
}

}  // namespace

void ExpressionParser::fold_output(Expr& node) {
  if (is_constant(node)) mark_slices(node);
}

ExprPtr ExpressionParser::power() {
  ExprPtr left = unary(true);
  while (stream_.is_sign("**")) {
    const int line = stream_.line();
    stream_.advance();
    left = join(ExprKind::arithmetic, line, std::move(left), unary(true));
    left->operation = Arithmetic::power;
    left->folded = is_constant(*left->items[0]) && !is_constant(*left->items[1]);
    raise(*left);
  }
  return left;
}

ExprPtr ExpressionParser::unary(bool with_filters) {
  const Level level(stream_);
  ExprPtr node;
  if (stream_.is_sign("-") || stream_.is_sign("+")) {
    node = make(stream_.is_sign("-") ? ExprKind::negate : ExprKind::plus, stream_.line());
    stream_.advance();
    node->items.push_back(unary(false));
    raise(*node);
  } else {
    node = primary(false);
  }
  node = postfix(std::move(node));
  while (with_filters && stream_.ok()) {
    if (stream_.is_sign("|"))
      node = filters(std::move(node), false);
    else if (stream_.is_name("is"))
      node = test(std::move(node));
    else if (stream_.is_sign("("))
      node = call(std::move(node));
    else
      break;
  }
  return node;
}

ExprPtr ExpressionParser::name_or_constant(bool spaces) {
  const Token token = stream_.current();
  stream_.advance();
  ExprPtr node = make(ExprKind::constant, token.line);
  if (token.text == "true" || token.text == "True") {
    node->value = Value(true);
  } else if (token.text == "false" || token.text == "False") {
    node->value = Value(false);
  } else if (token.text == "none" || token.text == "None") {
    node->value = Value();
  } else if (spaces && stream_.skip_sign(".")) {
    node->kind = ExprKind::space_attribute;
    node->name = token.text;
    node->attribute = stream_.take_name();
  } else {
    node->kind = ExprKind::name;
    node->name = token.text;
  }
  return node;
}

ExprPtr ExpressionParser::strings() {
  ExprPtr node = make(ExprKind::constant, stream_.line());
  std::string text;
  // Strings side by side are one.
  for (; stream_.is(TokenKind::text); stream_.advance()) text += stream_.current().text;
  node->value = Value(Text::make(std::move(text)));
  return node;
}

ExprPtr ExpressionParser::primary(bool spaces) {
  const Level level(stream_);
  if (stream_.is(TokenKind::name)) return name_or_constant(spaces);
  if (stream_.is(TokenKind::text)) return strings();
  if (stream_.is(TokenKind::integer) || stream_.is(TokenKind::real)) {
    ExprPtr node = make(ExprKind::constant, stream_.line());
    node->value = stream_.is(TokenKind::integer) ? Value(stream_.current().integer) : Value(stream_.current().real);
    stream_.advance();
    return node;
  }
  if (stream_.skip_sign("(")) {
    ExprPtr node = tuple({.conditions = true, .end_name = {}, .parentheses = true});
    stream_.expect_sign(")");
    return node;
  }
  if (stream_.is_sign("[")) return list();
  if (stream_.is_sign("{")) return dict();
  stream_.fail(fmt::format("unexpected {}", stream_.described()));
  return make(ExprKind::constant, stream_.line());
}

ExprPtr ExpressionParser::list() {
  ExprPtr node = make(ExprKind::list, stream_.line());
  stream_.expect_sign("[");
  while (stream_.ok() && !stream_.is_sign("]")) {
    if (!node->items.empty()) stream_.expect_sign(",");
    if (stream_.is_sign("]")) break;
    node->items.push_back(expression());
  }
  stream_.expect_sign("]");
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::dict() {
  ExprPtr node = make(ExprKind::dict, stream_.line());
  stream_.expect_sign("{");
  while (stream_.ok() && !stream_.is_sign("}")) {
    if (!node->items.empty()) stream_.expect_sign(",");
    if (stream_.is_sign("}")) break;
    node->items.push_back(expression());
    stream_.expect_sign(":");
    node->items.push_back(expression());
  }
  stream_.expect_sign("}");
  raise(*node);
  return node;
}

bool ExpressionParser::at_tuple_end(const TupleRules& rules) const {
  return stream_.is(TokenKind::variable_end) || stream_.is(TokenKind::block_end) || stream_.is_sign(")") ||
         (!rules.end_name.empty() && stream_.is_name(rules.end_name));
}

ExprPtr ExpressionParser::tuple(const TupleRules& rules) {
  int line = stream_.line();
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (stream_.ok()) {
    if (!items.empty()) stream_.expect_sign(",");
    if (at_tuple_end(rules)) break;
    items.push_back(expression(rules.conditions));
    if (!stream_.is_sign(",")) break;
    is_tuple = true;
    line = stream_.line();
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !rules.parentheses) stream_.fail(fmt::format("Expected an expression, got {}", stream_.described()));
  ExprPtr node = make(ExprKind::tuple, line);
  node->items = std::move(items);
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::target_name() {
  ExprPtr node = make(ExprKind::name, stream_.line());
  node->name = stream_.take_name();
  mark_stored(*node);
  return node;
}

ExprPtr ExpressionParser::target(std::string_view end_name, bool spaces) {
  const int line = stream_.line();
  const TupleRules rules{.conditions = true, .end_name = end_name, .parentheses = false};
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (stream_.ok()) {
    if (!items.empty()) stream_.expect_sign(",");
    if (at_tuple_end(rules)) break;
    items.push_back(primary(spaces));
    if (!stream_.is_sign(",")) break;
    is_tuple = true;
  }
  ExprPtr node;
  if (!is_tuple && !items.empty()) {
    node = std::move(items[0]);
  } else {
    if (!is_tuple) stream_.fail(fmt::format("Expected an expression, got {}", stream_.described()));
    node = make(ExprKind::tuple, line);
    node->items = std::move(items);
    raise(*node);
  }
  mark_stored(*node);
  return node;
}

void ExpressionParser::mark_stored(Expr& target) {
  static constexpr std::string_view kFixed[] = {"true", "false", "none", "True", "False", "None"};
  if (target.kind == ExprKind::name || target.kind == ExprKind::space_attribute) {
    target.stored = true;
    if (std::find(std::begin(kFixed), std::end(kFixed), target.name) == std::end(kFixed) ||
        target.kind == ExprKind::space_attribute)
      return;
  } else if (target.kind == ExprKind::tuple) {
    for (const ExprPtr& item : target.items) mark_stored(*item);
    return;
  }
  if (stream_.ok()) stream_.fail_at(target.line, "can't assign to what is no variable");
}

ExprPtr ExpressionParser::postfix(ExprPtr node) {
  while (stream_.ok()) {
    if (stream_.is_sign(".") || stream_.is_sign("["))
      node = subscript(std::move(node));
    else if (stream_.is_sign("("))
      node = call(std::move(node));
    else
      break;
  }
  return node;
}

ExprPtr ExpressionParser::subscript(ExprPtr object) {
  ExprPtr node = make(ExprKind::item, stream_.line());
  node->items.push_back(std::move(object));
  if (stream_.skip_sign(".")) {
    if (stream_.is(TokenKind::name)) {
      node->kind = ExprKind::attribute;
      node->name = stream_.take_name();
    } else if (stream_.is(TokenKind::integer)) {
      node->items.push_back(primary(false));
    } else {
      stream_.fail("expected name or number");
    }
    raise(*node);
    return node;
  }
  stream_.expect_sign("[");
  std::vector<ExprPtr> keys;
  while (stream_.ok() && !stream_.is_sign("]")) {
    if (!keys.empty()) stream_.expect_sign(",");
    keys.push_back(subscribed());
  }
  stream_.expect_sign("]");
  if (keys.size() == 1) {
    node->items.push_back(std::move(keys[0]));
  } else {
    // Several keys are a tuple, in which Python's syntax has no room for slices.
    for (const ExprPtr& key : keys)
      if (key->kind == ExprKind::slice) stream_.fail("invalid syntax: a slice beside another subscript");
    ExprPtr all = make(ExprKind::tuple, node->line);
    all->items = std::move(keys);
    raise(*all);
    node->items.push_back(std::move(all));
  }
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::subscribed() {
  const int line = stream_.line();
  ExprPtr first;
  if (!stream_.is_sign(":")) {
    first = expression();
    if (!stream_.is_sign(":")) return first;
  }
  stream_.expect_sign(":");
  ExprPtr node = make(ExprKind::slice, line);
  const auto absent = [&] { return stream_.is_sign(":") || stream_.is_sign("]") || stream_.is_sign(","); };
  node->items.push_back(std::move(first));
  node->items.push_back(absent() ? nullptr : expression());
  node->items.push_back(stream_.skip_sign(":") && !stream_.is_sign("]") && !stream_.is_sign(",") ? expression()
                                                                                                 : nullptr);
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::call(ExprPtr callee) {
  ExprPtr node = make(ExprKind::call, stream_.line());
  node->items.push_back(std::move(callee));
  arguments(*node);
  raise(*node);
  return node;
}

void ExpressionParser::arguments(Expr& call) {
  const int line = stream_.line();
  const auto ensure = [&](bool fits) {
    if (!fits && stream_.ok()) stream_.fail_at(line, "invalid syntax for function call expression");
  };
  stream_.expect_sign("(");
  bool some = false;
  for (; stream_.ok() && !stream_.is_sign(")"); some = true) {
    if (some) {
      stream_.expect_sign(",");
      if (stream_.is_sign(")")) break;
    }
    if (stream_.skip_sign("*")) {
      ensure(call.spread == nullptr && call.spread_named == nullptr);
      call.spread = expression();
    } else if (stream_.skip_sign("**")) {
      ensure(call.spread_named == nullptr);
      call.spread_named = expression();
    } else if (stream_.is(TokenKind::name) && stream_.ahead().kind == TokenKind::sign && stream_.ahead().text == "=") {
      ensure(call.spread_named == nullptr);
      std::string name = stream_.take_name();
      stream_.advance();
      for (const Keyword& known : call.named)
        if (known.name == name) stream_.fail_at(line, fmt::format("keyword argument repeated: {}", name));
      call.named.push_back({std::move(name), expression()});
    } else {
      ensure(call.spread == nullptr && call.spread_named == nullptr && call.named.empty());
      call.items.push_back(expression());
    }
  }
  stream_.expect_sign(")");
}

ExprPtr ExpressionParser::filters(ExprPtr node, bool inline_first) {
  while (stream_.ok() && (inline_first || stream_.skip_sign("|"))) {
    inline_first = false;
    ExprPtr filter = make(ExprKind::filter, stream_.line());
    filter->items.push_back(std::move(node));
    filter->name = stream_.take_name();
    while (stream_.skip_sign(".")) filter->name += "." + stream_.take_name();
    filter->function = find_filter(filter->name);
    if (stream_.is_sign("(")) arguments(*filter);
    raise(*filter);
    node = std::move(filter);
  }
  return node;
}

ExprPtr ExpressionParser::test(ExprPtr subject) {
  ExprPtr node = make(ExprKind::test, stream_.line());
  node->items.push_back(std::move(subject));
  stream_.expect_name("is");
  const bool negated = stream_.skip_name("not");
  node->name = stream_.take_name();
  while (stream_.skip_sign(".")) node->name += "." + stream_.take_name();
  node->function = find_test(node->name);
  const bool starts_value = stream_.is(TokenKind::name) || stream_.is(TokenKind::text) ||
                            stream_.is(TokenKind::integer) || stream_.is(TokenKind::real) || stream_.is_sign("[") ||
                            stream_.is_sign("{");
  if (stream_.is_sign("(")) {
    arguments(*node);
  } else if (starts_value && !stream_.is_name("else") && !stream_.is_name("or") && !stream_.is_name("and")) {
    if (stream_.is_name("is")) stream_.fail("You cannot chain multiple tests with is");
    node->items.push_back(postfix(primary(false)));
  }
  raise(*node);
  if (!negated) return node;
  ExprPtr negation = make(ExprKind::logical_not, node->line);
  negation->items.push_back(std::move(node));
  raise(*negation);
  return negation;
}

}  // namespace moe::inline MOE_ABI::chat

// Expressions: operators by falling precedence, down to unary() (parse_value.cpp, parse_postfix.cpp).

#include <algorithm>

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

}  // namespace moe::inline MOE_ABI::chat

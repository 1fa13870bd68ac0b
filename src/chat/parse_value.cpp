// Names, constants, lists, dicts, tuples; and what can be assigned to.

#include <algorithm>

#include "chat/token_stream.hpp"

namespace moe::inline MOE_ABI::chat {

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

template <class Item>
ExprPtr ExpressionParser::bracketed(ExprKind kind, std::string_view open, std::string_view close, Item&& item) {
  ExprPtr node = make(kind, stream_.line());
  stream_.expect_sign(open);
  while (stream_.ok() && !stream_.is_sign(close)) {
    if (!node->items.empty()) stream_.expect_sign(",");
    if (stream_.is_sign(close)) break;
    item(*node);
  }
  stream_.expect_sign(close);
  raise(*node);
  return node;
}

ExprPtr ExpressionParser::list() {
  return bracketed(ExprKind::list, "[", "]", [&](Expr& node) { node.items.push_back(expression()); });
}

ExprPtr ExpressionParser::dict() {
  return bracketed(ExprKind::dict, "{", "}", [&](Expr& node) {
    node.items.push_back(expression());
    stream_.expect_sign(":");
    node.items.push_back(expression());
  });
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

}  // namespace moe::inline MOE_ABI::chat

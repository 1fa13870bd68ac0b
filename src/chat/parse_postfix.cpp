// What stands after a value: attributes and subscripts, calls, filters, tests.

#include "chat/filters.hpp"
#include "chat/token_stream.hpp"

namespace moe::inline MOE_ABI::chat {

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

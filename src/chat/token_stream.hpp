#pragma once
// The parser's view of the tokens, and its first error.

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "chat/ast.hpp"
#include "chat/token.hpp"

namespace moe::inline MOE_ABI::chat {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, const Limits& allowed) : limits(allowed), tokens_(std::move(tokens)) {}

  const Limits& limits;
  std::optional<Fault> fault;
  int depth = 0;  ///< of the parser's own recursion

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  void advance() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool ok() const { return !fault; }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_sign(std::string_view sign) const { return current().kind == TokenKind::sign && current().text == sign; }
  bool is_name(std::string_view name) const { return current().kind == TokenKind::name && current().text == name; }
  bool skip_sign(std::string_view sign) { return is_sign(sign) && (advance(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (advance(), true); }

  void expect_sign(std::string_view sign) {
    if (!skip_sign(sign)) fail(fmt::format("expected token '{}', got {}", sign, described()));
  }
  void expect(TokenKind kind, std::string_view what) {
    if (is(kind))
      advance();
    else
      fail(fmt::format("expected {}, got {}", what, described()));
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) fail(fmt::format("expected token '{}', got {}", name, described()));
  }
  std::string take_name() {
    if (!is(TokenKind::name)) {
      fail(fmt::format("expected a name, got {}", described()));
      return {};
    }
    std::string name = current().text;
    advance();
    return name;
  }

  void fail(std::string message) { fail_at(line(), std::move(message)); }
  void fail_at(int where, std::string message) {
    if (!fault) fault = Fault{FaultKind::syntax, "TemplateSyntaxError", std::move(message), where};
    at_ = tokens_.size() - 1;  // every loop of the parser ends at the end
  }
  void fail_limit() {
    if (!fault)
      fault = Fault{
          FaultKind::limit, {}, fmt::format("the template is nested deeper than {} levels", limits.nesting), line()};
    at_ = tokens_.size() - 1;
  }

  std::string described() const {
    switch (current().kind) {
      case TokenKind::data: return "template data";
      case TokenKind::variable_begin: return "'{{'";
      case TokenKind::variable_end: return "'}}'";
      case TokenKind::block_begin: return "'{%'";
      case TokenKind::block_end: return "'%}'";
      case TokenKind::text: return "a string";
      case TokenKind::integer:
      case TokenKind::real: return "a number";
      case TokenKind::end: return "the end of the template";
      default: return quoted(current().text);
    }
  }

 private:
  static std::string quoted(const std::string& text) { return "'" + text.substr(0, 60) + "'"; }
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

/// Counts one level of the parser's recursion while it lives.
class Level {
 public:
  explicit Level(TokenStream& stream) : stream_(stream) {
    if (++stream_.depth > stream_.limits.nesting) stream_.fail_limit();
  }
  ~Level() { --stream_.depth; }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  TokenStream& stream_;
};

/// Expressions.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& stream) : stream_(stream) {}

  struct TupleRules {
    bool conditions = true;     ///< "a if b" is part of an item
    std::string_view end_name;  ///< a name that ends the tuple
    bool parentheses = false;   ///< () is an empty tuple
  };
  ExprPtr expression(bool conditions = true);
  ExprPtr tuple(const TupleRules& rules);
  /// A name, or names with commas between; `spaces` allows ns.attribute.
  ExprPtr target(std::string_view end_name, bool spaces);
  ExprPtr target_name();
  /// What is printed may be computed while jinja2 compiles: marks the places where that makes a difference.
  static void fold_output(Expr& node);
  /// Filters from `|` on; `inline_first` begins with a name (filter blocks).
  ExprPtr filters(ExprPtr node, bool inline_first);

 private:
  ExprPtr make(ExprKind kind, int line) const;
  ExprPtr join(ExprKind kind, int line, ExprPtr a, ExprPtr b) const;
  void raise(Expr& parent);
  ExprPtr logical_or();
  ExprPtr logical_and();
  ExprPtr logical_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concatenation();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filters);
  ExprPtr primary(bool spaces);
  ExprPtr name_or_constant(bool spaces);
  ExprPtr strings();
  ExprPtr postfix(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr subscribed();
  ExprPtr call(ExprPtr node);
  void arguments(Expr& call);
  ExprPtr test(ExprPtr node);
  ExprPtr list();
  ExprPtr dict();
  /// Items between brackets, a comma after each but the last, where it may stand.
  template <class Item>
  ExprPtr bracketed(ExprKind kind, std::string_view open, std::string_view close, Item&& item);
  bool at_tuple_end(const TupleRules& rules) const;
  void mark_stored(Expr& target);

  TokenStream& stream_;
};

}  // namespace moe::inline MOE_ABI::chat

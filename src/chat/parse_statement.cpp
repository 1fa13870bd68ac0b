#include <algorithm>

#include "chat/parser.hpp"
#include "chat/token_stream.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

using Names = std::vector<std::string_view>;

class StatementParser {
 public:
  StatementParser(std::vector<Token> tokens, const Limits& limits)
      : stream_(std::move(tokens), limits), expressions_(stream_) {}

  tl::expected<Tree, Fault> parse() {
    Tree tree;
    tree.body = body({});
    if (!stream_.ok()) return tl::unexpected(*stream_.fault);
    return tree;
  }

 private:
  StmtPtr make(StmtKind kind) {
    auto node = std::make_unique<Stmt>();
    node->kind = kind;
    node->line = stream_.line();
    return node;
  }

  bool at_any(const Names& names) const {
    return stream_.is(TokenKind::name) && std::find(names.begin(), names.end(), stream_.current().text) != names.end();
  }

  // Statements up to one of the end tags, whose name is the current token then.
  Body body(const Names& ends) {
    const Level level(stream_);
    Body out;
    Stmt* output = nullptr;
    const auto print = [&](ExprPtr value) {
      if (output == nullptr) {
        out.push_back(make(StmtKind::output));
        output = out.back().get();
      }
      output->exprs.push_back(std::move(value));
    };
    while (stream_.ok() && !stream_.is(TokenKind::end)) {
      if (stream_.is(TokenKind::data)) {
        auto data = std::make_unique<Expr>();
        data->line = stream_.line();
        data->value = Value(Text::make(stream_.current().text));
        print(std::move(data));
        stream_.advance();
      } else if (stream_.is(TokenKind::variable_begin)) {
        stream_.advance();
        print(expressions_.tuple({}));
        ExpressionParser::fold_output(*output->exprs.back());
        stream_.expect(TokenKind::variable_end, "'}}'");
      } else {
        output = nullptr;
        stream_.expect(TokenKind::block_begin, "a tag");
        if (at_any(ends)) return out;
        out.push_back(statement(ends));
        stream_.expect(TokenKind::block_end, "'%}'");
      }
    }
    if (!ends.empty() && stream_.ok())
      stream_.fail(fmt::format("Unexpected end of template. Jinja was looking for the following tags: '{}'.",
                               fmt::join(ends, "' or '")));
    return out;
  }

  // The rest of a tag, and then its body.
  Body body_of_tag(const Names& ends) {
    stream_.skip_sign(":");
    stream_.expect(TokenKind::block_end, "'%}'");
    return body(ends);
  }
  Body last_body(std::string_view end) {
    Body out = body_of_tag({end});
    stream_.advance();
    return out;
  }

  StmtPtr statement(const Names& ends) {
    if (!stream_.is(TokenKind::name)) {
      stream_.fail("tag name expected");
      return make(StmtKind::output);
    }
    struct Row {
      std::string_view tag;
      StmtPtr (StatementParser::*parse)();
    };
    static constexpr Row kTags[] = {{"for", &StatementParser::loop},
                                    {"if", &StatementParser::branch},
                                    {"set", &StatementParser::set},
                                    {"macro", &StatementParser::macro},
                                    {"call", &StatementParser::call},
                                    {"filter", &StatementParser::filter},
                                    {"with", &StatementParser::with},
                                    {"print", &StatementParser::print},
                                    {"block", &StatementParser::block},
                                    {"generation", &StatementParser::generation},
                                    {"break", &StatementParser::jump},
                                    {"continue", &StatementParser::jump},
                                    {"include", &StatementParser::include},
                                    {"import", &StatementParser::import},
                                    {"from", &StatementParser::from_import},
                                    {"extends", &StatementParser::extends},
                                    {"autoescape", &StatementParser::autoescape}};
    for (const Row& row : kTags)
      if (row.tag == stream_.current().text) return (this->*row.parse)();
    std::string message = fmt::format("Encountered unknown tag {}.", stream_.described());
    if (!ends.empty())
      message += fmt::format(" Jinja was looking for the following tags: '{}'.", fmt::join(ends, "' or '"));
    stream_.fail(std::move(message));
    return make(StmtKind::output);
  }

  StmtPtr loop() {
    StmtPtr node = make(StmtKind::loop);
    stream_.advance();
    node->target = expressions_.target("in", false);
    stream_.expect_name("in");
    node->value = expressions_.tuple({.conditions = false, .end_name = "recursive", .parentheses = false});
    if (stream_.skip_name("if")) node->test = expressions_.expression();
    node->recursive = stream_.skip_name("recursive");
    node->body = body_of_tag({"endfor", "else"});
    const bool has_else = stream_.is_name("else");
    stream_.advance();
    if (has_else) node->otherwise = last_body("endfor");
    return node;
  }

  StmtPtr branch() {
    StmtPtr node = make(StmtKind::branch);
    stream_.advance();
    while (stream_.ok()) {
      Branch& branch = node->branches.emplace_back();
      branch.test = expressions_.tuple({.conditions = false, .end_name = {}, .parentheses = false});
      branch.body = body_of_tag({"elif", "else", "endif"});
      if (stream_.skip_name("elif")) continue;
      const bool has_else = stream_.is_name("else");
      stream_.advance();
      if (has_else) node->otherwise = last_body("endif");
      break;
    }
    return node;
  }

  StmtPtr set() {
    StmtPtr node = make(StmtKind::set);
    stream_.advance();
    node->target = expressions_.target({}, true);
    if (stream_.skip_sign("=")) {
      node->value = expressions_.tuple({});
      return node;
    }
    node->kind = StmtKind::set_block;
    if (stream_.is_sign("|")) node->filter = expressions_.filters(nullptr, false);
    node->body = last_body("endset");
    return node;
  }

  // (a, b=1): parameters and the defaults of the last ones.
  void signature(Stmt& node) {
    stream_.expect_sign("(");
    while (stream_.ok() && !stream_.is_sign(")")) {
      if (!node.exprs.empty()) stream_.expect_sign(",");
      ExprPtr parameter = expressions_.target_name();
      for (const ExprPtr& known : node.exprs)
        if (known->name == parameter->name)
          stream_.fail(fmt::format("duplicate argument '{}' in function definition", parameter->name));
      node.exprs.push_back(std::move(parameter));
      if (stream_.skip_sign("="))
        node.more.push_back(expressions_.expression());
      else if (!node.more.empty())
        stream_.fail("non-default argument follows default argument");
    }
    stream_.expect_sign(")");
  }

  StmtPtr macro() {
    StmtPtr node = make(StmtKind::macro);
    stream_.advance();
    node->target = expressions_.target_name();
    node->name = node->target->name;
    signature(*node);
    node->body = last_body("endmacro");
    return node;
  }

  StmtPtr call() {
    StmtPtr node = make(StmtKind::call);
    stream_.advance();
    if (stream_.is_sign("(")) signature(*node);
    node->value = expressions_.expression();
    if (stream_.ok() && node->value->kind != ExprKind::call) stream_.fail_at(node->line, "expected call");
    node->body = last_body("endcall");
    return node;
  }

  StmtPtr generation() {
    StmtPtr node = make(StmtKind::call);
    stream_.advance();
    node->body = last_body("endgeneration");
    return node;
  }

  StmtPtr filter() {
    StmtPtr node = make(StmtKind::filter);
    stream_.advance();
    node->filter = expressions_.filters(nullptr, true);
    node->body = last_body("endfilter");
    return node;
  }

  StmtPtr with() {
    StmtPtr node = make(StmtKind::with);
    stream_.advance();
    while (stream_.ok() && !stream_.is(TokenKind::block_end)) {
      if (!node->more.empty()) stream_.expect_sign(",");
      node->more.push_back(expressions_.target({}, false));
      stream_.expect_sign("=");
      node->exprs.push_back(expressions_.expression());
    }
    node->body = last_body("endwith");
    return node;
  }

  StmtPtr print() {
    StmtPtr node = make(StmtKind::output);
    stream_.advance();
    while (stream_.ok() && !stream_.is(TokenKind::block_end)) {
      if (!node->exprs.empty()) stream_.expect_sign(",");
      node->exprs.push_back(expressions_.expression());
    }
    return node;
  }

  StmtPtr jump() {
    StmtPtr node = make(stream_.is_name("break") ? StmtKind::leave : StmtKind::next);
    stream_.advance();
    return node;
  }

  static bool is_blank(const Stmt& node) {
    return node.kind == StmtKind::output && std::all_of(node.exprs.begin(), node.exprs.end(), [](const ExprPtr& value) {
             return value->kind == ExprKind::constant && value->value.is_text() &&
                    value->value.text().bytes().find_first_not_of(" \t\n\r\f\v") == std::string_view::npos;
           });
  }

  StmtPtr block() {
    StmtPtr node = make(StmtKind::block);
    stream_.advance();
    node->name = stream_.take_name();
    node->scoped = stream_.skip_name("scoped");
    node->required = stream_.skip_name("required");
    if (stream_.is_sign("-")) stream_.fail("Block names in Jinja have to be valid Python identifiers");
    node->body = last_body("endblock");
    if (node->required &&
        !std::all_of(node->body.begin(), node->body.end(), [](const StmtPtr& s) { return is_blank(*s); }))
      stream_.fail_at(node->line, "Required blocks can only contain comments or whitespace");
    stream_.skip_name(node->name);
    return node;
  }

  // There are no other templates: these tags fail at run time, as in transformers, which has no loader.
  StmtPtr load_template() {
    StmtPtr node = make(StmtKind::load_template);
    node->name = stream_.current().text;
    stream_.advance();
    node->value = expressions_.expression();
    return node;
  }
  void context_of_import() {
    const bool context = stream_.ahead().kind == TokenKind::name && stream_.ahead().text == "context";
    if ((stream_.is_name("with") || stream_.is_name("without")) && context) {
      stream_.advance();
      stream_.advance();
    }
  }

  StmtPtr include() {
    StmtPtr node = load_template();
    if (stream_.is_name("ignore") && stream_.ahead().text == "missing") {
      stream_.advance();
      stream_.advance();
    }
    context_of_import();
    return node;
  }
  StmtPtr import() {
    StmtPtr node = load_template();
    stream_.expect_name("as");
    node->names.push_back(expressions_.target_name()->name);
    context_of_import();
    return node;
  }
  StmtPtr from_import() {
    StmtPtr node = load_template();
    stream_.expect_name("import");
    while (stream_.ok() && !stream_.is(TokenKind::block_end)) {
      if (!node->names.empty()) stream_.expect_sign(",");
      if ((stream_.is_name("with") || stream_.is_name("without")) && stream_.ahead().text == "context") {
        context_of_import();
        break;
      }
      std::string name = expressions_.target_name()->name;
      if (name.substr(0, 1) == "_") stream_.fail("names starting with an underline can not be imported");
      node->names.push_back(stream_.skip_name("as") ? expressions_.target_name()->name : name);
      if (stream_.is(TokenKind::name)) context_of_import();
      if (!stream_.is_sign(",")) break;
    }
    return node;
  }
  StmtPtr extends() { return load_template(); }

  StmtPtr autoescape() {
    StmtPtr node = make(StmtKind::plain_scope);
    stream_.advance();
    const ExprPtr how = expressions_.expression();
    if (stream_.ok() && (how->kind != ExprKind::constant || truthy(how->value))) {
      stream_.fail_at(node->line, "autoescape with anything but false is not known here");
      stream_.fault->kind = FaultKind::unsupported;
    }
    node->body = last_body("endautoescape");
    return node;
  }

  TokenStream stream_;
  ExpressionParser expressions_;
};

}  // namespace

tl::expected<Tree, Fault> parse_template(std::vector<Token> tokens, const Limits& limits) {
  return StatementParser(std::move(tokens), limits).parse();
}

}  // namespace moe::inline MOE_ABI::chat

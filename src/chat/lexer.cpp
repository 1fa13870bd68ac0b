#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "chat/characters.hpp"
#include "chat/number.hpp"
#include "chat/repr.hpp"
#include "chat/string_literal.hpp"
#include "chat/token.hpp"
#include "support/utf8.hpp"
#include "tokenizer/unicode.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// "\r\n" and "\r" count as "\n", and one line end at the end of the template is dropped.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

constexpr std::string_view kLongSigns[] = {"//", "**", "==", "!=", ">=", "<="};
constexpr std::string_view kSingleSigns = "+-/*%~[](){}><=.:|,;";

class Lexer {
 public:
  Lexer(std::string source, const Limits& limits) : source_(std::move(source)), view_(source_), limits_(limits) {}

  tl::expected<std::vector<Token>, Fault> run() {
    while (at_ < view_.size() && !fault_) root();
    if (fault_) return tl::unexpected(*fault_);
    add(TokenKind::end);
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < view_.size() ? view_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return view_.substr(at_, text.size()) == text; }
  void skip_space() { at_ += leading_space(view_.substr(at_)); }

  int line() {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_), '\n'));
    counted_ = at_;
    return line_;
  }
  void fail(std::string message) {
    if (!fault_) fault_ = Fault{FaultKind::syntax, "TemplateSyntaxError", std::move(message), line()};
  }
  Token& add(TokenKind kind, std::string text = {}) {
    if (tokens_.size() >= limits_.tokens && !fault_)
      fault_ = Fault{FaultKind::limit, {}, fmt::format("the template has more than {} tokens", limits_.tokens), line()};
    tokens_.push_back({kind, line(), std::move(text), 0, 0});
    return tokens_.back();
  }

  // Everything up to the next tag is data.
  void root() {
    const std::size_t begin = at_;
    std::size_t tag = view_.find('{', begin);
    while (tag != std::string_view::npos &&
           (tag + 1 == view_.size() || std::string_view("%{#").find(view_[tag + 1]) == std::string_view::npos))
      tag = view_.find('{', tag + 1);
    if (tag == std::string_view::npos) {
      add(TokenKind::data, std::string(view_.substr(begin)));
      at_ = view_.size();
      return;
    }
    const char type = view_[tag + 1];
    const char sign = tag + 2 < view_.size() ? view_[tag + 2] : '\0';
    data(view_.substr(begin, tag - begin), sign, type != '{');
    at_ = tag + 2 + (sign == '-' || sign == '+' ? 1 : 0);
    if (type == '#') return comment();
    if (type == '{') return inside(TokenKind::variable_begin);
    if (raw_begin()) return raw();
    inside(TokenKind::block_begin);
  }

  // Template data before a tag, after trimming by the tag's sign and lstrip_blocks.
  void data(std::string_view text, char sign, bool strips) {
    if (sign == '-') {
      text = text.substr(0, trailing_space(text));
    } else if (sign != '+' && strips) {
      const std::size_t newline = text.rfind('\n');
      const std::size_t start = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = start > 0 || line_starting_;
      if (at_line_start && leading_space(text.substr(start)) == text.size() - start) text = text.substr(0, start);
    }
    if (!text.empty()) add(TokenKind::data, std::string(text));
  }

  // The end of a tag that is two characters long: the sign before it, or the newline after it.
  void after_tag(char sign, bool trims) {
    const std::size_t begin = at_;
    at_ += 2;
    if (sign == '-')
      skip_space();
    else if (sign != '+' && trims && peek() == '\n')
      ++at_;
    line_starting_ = at_ > begin && view_[at_ - 1] == '\n';
  }

  void comment() {
    if (at_ == view_.size()) return;  // jinja2 reports a missing end only if something follows
    const std::size_t close = view_.find("#}", at_);
    if (close == std::string_view::npos) return fail("Missing end of comment tag");
    const char sign = close > at_ ? view_[close - 1] : '\0';
    at_ = close;
    after_tag(sign, true);
  }

  // "raw" and the end of its tag; nothing moves when it is another tag.
  bool raw_begin() {
    const std::size_t begin = at_;
    skip_space();
    if (starts("raw")) {
      at_ += 3;
      skip_space();
      if (starts("-%}") || starts("%}")) {
        const char sign = peek() == '-' ? '-' : '\0';
        if (sign == '-') ++at_;
        after_tag(sign, false);
        return true;
      }
    }
    at_ = begin;
    return false;
  }

  void raw() {
    const std::size_t begin = at_;
    if (begin == view_.size()) return;
    for (std::size_t tag = view_.find("{%", begin); tag != std::string_view::npos; tag = view_.find("{%", tag + 1)) {
      at_ = tag + 2;
      const char sign = peek();
      if (sign == '-' || sign == '+') ++at_;
      skip_space();
      if (!starts("endraw")) continue;
      at_ += 6;
      skip_space();
      const char end_sign = peek() == '-' || peek() == '+' ? peek() : '\0';
      if (end_sign != '\0') ++at_;
      if (!starts("%}")) continue;
      const std::size_t end = at_;
      at_ = begin;
      data(view_.substr(begin, tag - begin), sign, true);
      at_ = end;
      return after_tag(end_sign, true);
    }
    at_ = begin;
    fail("Missing end of raw directive");
  }

  void inside(TokenKind kind) {
    add(kind);
    const bool block = kind == TokenKind::block_begin;
    const std::string_view close = block ? "%}" : "}}";
    open_.clear();
    while (!fault_) {
      if (at_ >= view_.size()) return;
      if (open_.empty()) {
        const bool minus = peek() == '-', plus = block && peek() == '+';
        if (view_.substr(at_ + (minus || plus ? 1 : 0), 2) == close) {
          add(block ? TokenKind::block_end : TokenKind::variable_end);
          const char sign = minus ? '-' : (plus ? '+' : '\0');
          if (sign != '\0') ++at_;
          return after_tag(sign, block);
        }
      }
      token();
    }
  }

  void token() {
    const auto decoded = decode_utf8(view_.data() + at_);
    line_starting_ = false;
    if (is_space(decoded.value)) return skip_space();
    if (peek() >= '0' && peek() <= '9') return number();
    if (is_word(decoded.value) || is_mark(decoded.value)) return name();
    if (peek() == '\'' || peek() == '"') return literal();
    sign();
  }

  static bool is_mark(char32_t c) { return c >= 0x80 && tokenizer::char_classes()[c] & tokenizer::kMark; }

  void name() {
    const std::size_t begin = at_;
    bool first = true, fits = true;
    while (at_ < view_.size()) {
      const auto decoded = decode_utf8(view_.data() + at_);
      if (!is_word(decoded.value) && !is_mark(decoded.value)) break;
      if (first && decoded.value != '_' && !is_alpha(decoded.value)) fits = false;
      first = false;
      at_ += decoded.bytes;
    }
    if (!fits) return fail("Invalid character in identifier");
    const std::size_t end = at_;
    at_ = begin;
    add(TokenKind::name, std::string(view_.substr(begin, end - begin)));
    at_ = end;
  }

  bool digit(std::size_t at, bool hex = false) const {
    if (at >= view_.size()) return false;
    const auto c = static_cast<unsigned char>(view_[at]);
    return hex ? std::isxdigit(c) != 0 : std::isdigit(c) != 0;
  }
  // The end of digits with single underscores between them, from `at` on; `at` itself where there are none.
  std::size_t digits(std::size_t at) const {
    if (!digit(at)) return at;
    while (digit(at) || (at < view_.size() && view_[at] == '_' && digit(at + 1))) ++at;
    return at;
  }

  void number() {
    const std::size_t whole = digits(at_);
    std::size_t end = whole;
    bool real = false;
    // "a.1.5" has no float: what follows a dot is an index.
    if (at_ == 0 || view_[at_ - 1] != '.') {
      std::size_t fraction = whole;
      if (whole < view_.size() && view_[whole] == '.') fraction = digits(whole + 1);
      if (fraction > whole + 1) {
        end = fraction;
        real = true;
      }
      std::size_t exponent = end;
      if (exponent < view_.size() && (view_[exponent] | 0x20) == 'e') {
        ++exponent;
        if (exponent < view_.size() && (view_[exponent] == '+' || view_[exponent] == '-')) ++exponent;
        if (digit(exponent)) {
          end = digits(exponent);
          real = true;
        }
      }
    }
    std::size_t integer_end = end;
    if (!real) integer_end = integer_literal(whole);
    std::string text(view_.substr(at_, integer_end - at_));
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    Token& token = add(real ? TokenKind::real : TokenKind::integer, text);
    if (real) {
      token.real = read_float(text).value_or(0);
    } else {
      bool too_big = false;
      token.integer = read_int(text, 0, &too_big).value_or(0);
      if (too_big) fault_ = Fault{FaultKind::limit, {}, "a whole number does not fit into 64 bits", line()};
    }
    at_ = integer_end;
  }

  // 0x1f, 0o17, 0b1; decimal digits otherwise, of which a leading zero takes only zeros.
  std::size_t integer_literal(std::size_t whole) const {
    if (view_[at_] != '0') return whole;
    const char letter = static_cast<char>(peek(1) | 0x20);
    const auto fits = [&](std::size_t at) {
      if (letter == 'x') return digit(at, true);
      return digit(at) && view_[at] <= (letter == 'o' ? '7' : '1');
    };
    if (letter == 'x' || letter == 'o' || letter == 'b') {
      std::size_t end = at_ + 2;
      while (fits(end) || (end < view_.size() && view_[end] == '_' && fits(end + 1))) ++end;
      if (end > at_ + 2) return end;
    }
    std::size_t end = at_ + 1;
    const auto zero = [&](std::size_t at) { return at < view_.size() && view_[at] == '0'; };
    while (zero(end) || (end < view_.size() && view_[end] == '_' && zero(end + 1))) ++end;
    return end;
  }

  void literal() {
    const char quote = peek();
    std::size_t end = at_ + 1;
    while (end < view_.size() && view_[end] != quote) end += view_[end] == '\\' ? 2 : 1;
    if (end >= view_.size()) return fail(fmt::format("unexpected char {}", repr_of(std::string_view(&quote, 1))));
    auto text = read_string_literal(view_.substr(at_ + 1, end - at_ - 1));
    if (!text) return fail(text.error());
    add(TokenKind::text, std::move(*text));
    at_ = end + 1;
  }

  void sign() {
    for (std::string_view sign : kLongSigns)
      if (starts(sign)) {
        add(TokenKind::sign, std::string(sign));
        at_ += 2;
        return;
      }
    const char c = peek();
    if (c == '\0' || kSingleSigns.find(c) == std::string_view::npos)
      return fail(fmt::format("unexpected char {}", repr_of(view_.substr(at_, decode_utf8(view_.data() + at_).bytes))));
    if (c == '{') open_.push_back('}');
    if (c == '(') open_.push_back(')');
    if (c == '[') open_.push_back(']');
    if (c == '}' || c == ')' || c == ']') {
      if (open_.empty()) return fail(fmt::format("unexpected '{}'", c));
      if (open_.back() != c) return fail(fmt::format("unexpected '{}', expected '{}'", c, open_.back()));
      open_.pop_back();
    }
    add(TokenKind::sign, std::string(1, c));
    ++at_;
  }

  const std::string source_;
  const std::string_view view_;
  const Limits& limits_;
  std::size_t at_ = 0, counted_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string open_;  // the brackets that wait for their end
  std::vector<Token> tokens_;
  std::optional<Fault> fault_;
};

}  // namespace

tl::expected<std::vector<Token>, Fault> tokenize(std::string_view source, const Limits& limits) {
  if (source.size() > limits.source_bytes)
    return tl::unexpected(
        Fault{FaultKind::limit,
              {},
              fmt::format("the template has {} bytes, more than {}", source.size(), limits.source_bytes),
              0});
  if (!is_valid_utf8(source))
    return tl::unexpected(Fault{FaultKind::syntax, "TemplateSyntaxError", "the template is not UTF-8", 0});
  return Lexer(normalized(source), limits).run();
}

}  // namespace moe::inline MOE_ABI::chat

// Text to document: strict JSON (RFC 8259) in UTF-8, and Python's NaN and Infinity.

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/json.hpp"

namespace moe::inline MOE_ABI {
namespace {

using Kind = JsonTree::Kind;

/// Longer numbers are refused; no program writes them.
constexpr std::size_t kNumberBytes = 1024;
/// Objects of more keys get an entry in JsonTree::sorted; fewer are compared one by one.
constexpr std::size_t kFewKeys = 8;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  bool run() {
    bool good = true;
    do {
      skip_space();
      good = value();
      while (good && !done_ && !wants_value_) good = after_value();
      wants_value_ = false;
    } while (good && !done_);
    return good;
  }
  JsonTree& tree() { return tree_; }
  std::string& problem() { return problem_; }

 private:
  struct Open {
    std::uint32_t node = 0;
    std::uint32_t count = 0;
    std::size_t first_key = 0;  // in keys_
  };

  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool invalid() { return refuse(fmt::format("is no valid JSON at byte {}", at_ + 1)); }

  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool put(Kind kind, std::uint64_t payload = 0) {
    tree_.kinds.push_back(kind);
    tree_.payloads.push_back(payload);
    return true;
  }
  bool put_real(Kind kind, double x) { return put(kind, std::bit_cast<std::uint64_t>(x)); }

  bool value() {
    if (!open_.empty()) ++open_.back().count;
    switch (peek()) {
      case '{': return open(Kind::object);
      case '[': return open(Kind::array);
      case '"': return string();
      case 't': return take("true") ? put(Kind::yes) : invalid();
      case 'f': return take("false") ? put(Kind::no) : invalid();
      case 'n': return take("null") ? put(Kind::null) : invalid();
      default: return number();
    }
  }

  // The first key of an object is read with its brace, so that a value comes next.
  bool open(Kind kind) {
    if (open_.size() == kJsonDepthLimit) return refuse(fmt::format("is nested deeper than {} levels", kJsonDepthLimit));
    open_.push_back({static_cast<std::uint32_t>(tree_.kinds.size()), 0, keys_.size()});
    put(kind);
    ++at_;
    skip_space();
    if (peek() == (kind == Kind::object ? '}' : ']')) return close();
    wants_value_ = true;
    return kind == Kind::array || key();
  }

  bool key() {
    if (peek() != '"') return invalid();
    keys_.push_back(static_cast<std::uint32_t>(tree_.kinds.size()));
    if (!string()) return false;
    skip_space();
    return take(":") || invalid();
  }

  // After a value: its container continues, or ends and is itself a value.
  bool after_value() {
    skip_space();
    if (open_.empty()) {
      done_ = at_end();
      return done_ || invalid();
    }
    const bool in_object = tree_.kinds[open_.back().node] == Kind::object;
    if (peek() == (in_object ? '}' : ']')) return close();
    if (!take(",")) return invalid();
    skip_space();
    wants_value_ = true;
    return !in_object || key();
  }

  bool close() {
    ++at_;
    const Open closed = open_.back();
    open_.pop_back();
    std::uint64_t low = closed.count;
    if (tree_.kinds[closed.node] == Kind::object && !close_keys(closed.first_key, low)) return false;
    tree_.payloads[closed.node] = std::uint64_t{tree_.kinds.size()} << 32 | low;
    return true;
  }

  // Finds a duplicate key; `entry` is the part of the object's payload about its keys.
  bool close_keys(std::size_t first, std::uint64_t& entry) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(first), end = keys_.end();
    const auto text_of = [this](std::uint32_t i) { return JsonValue(tree_, i).text(); };
    std::sort(begin, end, [&](std::uint32_t a, std::uint32_t b) { return text_of(a) < text_of(b); });
    const auto twice =
        std::adjacent_find(begin, end, [&](std::uint32_t a, std::uint32_t b) { return text_of(a) == text_of(b); });
    if (twice != end) {
      const std::string key = JsonValue(tree_, *twice).in_ascii(80);
      return refuse(fmt::format("has the key '{}' twice in one object", key.substr(1, key.rfind('"') - 1)));
    }
    entry = 0;
    if (keys_.size() - first > kFewKeys) {
      entry = tree_.sorted.size() + 1;
      tree_.sorted.push_back(static_cast<std::uint32_t>(keys_.size() - first));
      tree_.sorted.insert(tree_.sorted.end(), begin, end);
    }
    keys_.resize(first);
    return true;
  }

  bool number() {
    if (take("NaN")) return put_real(Kind::not_finite, std::numeric_limits<double>::quiet_NaN());
    const std::size_t begin = at_;
    const bool negative = take("-");
    if (take("Infinity")) {
      const double infinity = std::numeric_limits<double>::infinity();
      return put_real(Kind::not_finite, negative ? -infinity : infinity);
    }
    bool whole = true;
    if (!take("0") && !digits()) return invalid();
    if (take(".")) {
      whole = false;
      if (!digits()) return invalid();
    }
    if (take("e") || take("E")) {
      whole = false;
      if (!take("+")) take("-");
      if (!digits()) return invalid();
    }
    const std::string_view token = text_.substr(begin, at_ - begin);
    if (token.size() > kNumberBytes)
      return refuse(fmt::format("has a number of {} characters at byte {}, expected at most {}", token.size(),
                                begin + 1, kNumberBytes));
    return (whole && put_integer(token, negative)) || put_double(token, begin);
  }
  bool digits() {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > begin;
  }
  // False where it needs a double.
  bool put_integer(std::string_view token, bool negative) {
    std::int64_t below_zero = 0;
    std::uint64_t from_zero = 0;
    const char* end = token.data() + token.size();
    const auto read =
        negative ? std::from_chars(token.data(), end, below_zero) : std::from_chars(token.data(), end, from_zero);
    if (read.ec != std::errc{}) return false;
    return negative ? put(Kind::integer, static_cast<std::uint64_t>(below_zero)) : put(Kind::whole, from_zero);
  }
  // nlohmann reads it: in any locale, and exactly.
  bool put_double(std::string_view token, std::size_t begin) {
    const auto read = nlohmann::json::parse(token.begin(), token.end(), nullptr, false);
    if (!read.is_number())
      return refuse(fmt::format("has the number {}{} at byte {}, which is beyond a double", token.substr(0, 40),
                                token.size() > 40 ? "..." : "", begin + 1));
    return put_real(Kind::real, read.get<double>());
  }

  bool string() {
    ++at_;
    const std::size_t begin = tree_.texts.size();
    for (;;) {
      // Fast path: characters that are not escaped.
      std::size_t end = at_;
      while (end < text_.size() && is_plain(text_[end])) ++end;
      tree_.texts.append(text_.substr(at_, end - at_));
      at_ = end;
      if (take("\"")) break;
      if (peek() == '\\' ? !escape() : !beyond_ascii()) return invalid();
    }
    return put(Kind::string, std::uint64_t{begin} << 32 | (tree_.texts.size() - begin));
  }
  static bool is_plain(char c) { return c >= 0x20 && static_cast<unsigned char>(c) < 0x80 && c != '"' && c != '\\'; }

  bool beyond_ascii() {
    const std::string_view rest = text_.substr(at_, 4);
    utf8proc_int32_t code_point = -1;
    const auto n = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(rest.data()),
                                    static_cast<utf8proc_ssize_t>(rest.size()), &code_point);
    if (n < 2) return false;
    tree_.texts.append(rest.substr(0, static_cast<std::size_t>(n)));
    at_ += static_cast<std::size_t>(n);
    return true;
  }

  bool escape() {
    ++at_;
    constexpr std::string_view kShort = "\"\\/bfnrt", kMeaning = "\"\\/\b\f\n\r\t";
    if (take("u")) return unicode_escape();
    const std::size_t known = at_end() ? std::string_view::npos : kShort.find(text_[at_]);
    if (known == std::string_view::npos) return false;
    tree_.texts += kMeaning[known];
    ++at_;
    return true;
  }
  // Two of them for a code point beyond U+FFFF; half of such a pair is no text.
  bool unicode_escape() {
    std::uint32_t code_point = 0, low = 0;
    if (!four_hex_digits(code_point)) return false;
    if (code_point >= 0xDC00 && code_point <= 0xDFFF) return false;
    if (code_point >= 0xD800 && code_point <= 0xDBFF) {
      if (!take("\\u") || !four_hex_digits(low) || low < 0xDC00 || low > 0xDFFF) return false;
      code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
    }
    utf8proc_uint8_t bytes[4];
    const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
    tree_.texts.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
    return true;
  }
  bool four_hex_digits(std::uint32_t& out) {
    const std::string_view digits = text_.substr(at_, 4);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (digits.size() < 4 || read.ptr != digits.data() + 4) return false;
    at_ += 4;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  JsonTree tree_;
  std::vector<Open> open_;
  std::vector<std::uint32_t> keys_;  // of all open objects: the indices of their keys
  bool wants_value_ = false, done_ = false;
  std::string problem_;
};

}  // namespace

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  if (text.size() > kJsonByteLimit)
    return fail(ErrorCode::bad_file, fmt::format("has {} bytes, expected at most {}", text.size(), kJsonByteLimit));
  Parser parser(text);
  if (!parser.run()) return fail(ErrorCode::bad_file, std::move(parser.problem()));
  return JsonDocument(std::make_shared<const JsonTree>(std::move(parser.tree())));
}

}  // namespace moe::inline MOE_ABI

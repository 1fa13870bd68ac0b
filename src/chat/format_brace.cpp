// str.format: replacement fields, their attributes and items, and the mini-language after the colon.

#include <algorithm>

#include "chat/characters.hpp"
#include "chat/format.hpp"
#include "chat/markup.hpp"
#include "chat/operators.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

/// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = 0;
  bool zero = false;
  std::int64_t width = 0;
  NumberFormat number;
  bool sign_given = false;
};

bool is_align(char c) { return c == '<' || c == '>' || c == '=' || c == '^'; }

bool read_amount(std::string_view text, std::size_t& at, std::int64_t& amount) {
  const std::size_t first = at;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    amount = std::min<std::int64_t>(amount * 10 + (text[at] - '0'), INT32_MAX);
  return at > first;
}

std::optional<Spec> read_spec(Run& run, std::string_view text, const Value& value) {
  Spec spec;
  std::size_t at = 0;
  const auto peek = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
  const std::size_t first = text.empty() ? 0 : decode_utf8(text.data()).bytes;
  const bool has_fill = !text.empty() && is_align(peek(first));
  if (has_fill) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    at = first + 1;
  } else if (is_align(peek(0))) {
    spec.align = text[0];
    at = 1;
  }
  if (peek(at) == '+' || peek(at) == '-' || peek(at) == ' ') {
    spec.number.sign = text[at++];
    spec.sign_given = true;
  }
  if (peek(at) == '#') {
    spec.number.alternate = true;
    ++at;
  }
  if (peek(at) == '0' && !has_fill) {
    spec.zero = true;
    spec.fill = "0";
    ++at;
  }
  read_amount(text, at, spec.width);
  if (peek(at) == ',' || peek(at) == '_') spec.number.grouping = text[at++];
  if (peek(at) == '.') {
    ++at;
    std::int64_t precision = 0;
    if (!read_amount(text, at, precision)) return run.value_error("Format specifier missing precision"), std::nullopt;
    spec.number.precision = static_cast<int>(precision);
  }
  if (at + 1 == text.size()) spec.number.type = text[at++];
  if (at < text.size())
    return run.value_error("Invalid format specifier {} for object of type '{}'", repr_of(text), type_name(value)),
           std::nullopt;
  return spec;
}

// Groups the digits before the point; leading zeros fill up to `least` characters.
void group(std::string& digits, char separator, std::size_t every, std::int64_t least) {
  std::size_t whole = 0;
  while (whole < digits.size() && std::isxdigit(static_cast<unsigned char>(digits[whole])) != 0 &&
         (every == 4 || digits[whole] <= '9'))
    ++whole;
  std::string out, rest = digits.substr(whole);
  std::size_t count = 0;
  const auto put = [&](char c) {
    if (count > 0 && count % every == 0) out.push_back(separator);
    out.push_back(c);
    ++count;
  };
  for (std::size_t i = whole; i > 0; --i) put(digits[i - 1]);
  while (static_cast<std::int64_t>(out.size() + rest.size()) < least) put('0');
  std::reverse(out.begin(), out.end());
  digits = out + rest;
}

class BraceFormatter {
 public:
  BraceFormatter(Run& run, const Text& format, const Args& args) : run_(run), markup_(format.markup()), args_(args) {}

  void format(TextBuilder& out, const Text& format, int depth) {
    const std::string_view bytes = format.bytes();
    std::size_t plain = 0, at = 0;
    while (at < bytes.size() && run_.ok()) {
      const char c = bytes[at];
      if (c != '{' && c != '}') {
        ++at;
        continue;
      }
      const bool doubled = at + 1 < bytes.size() && bytes[at + 1] == c;
      out.add(format, plain, doubled ? at + 1 : at);
      if (doubled) {
        at += 2;
      } else if (c == '}') {
        run_.value_error("Single '}}' encountered in format string");
        return;
      } else {
        at = field(out, format, at + 1, depth);
      }
      plain = at;
    }
    out.add(format, plain, bytes.size());
  }

 private:
  // Parses a field after its brace; returns the byte after its end.
  std::size_t field(TextBuilder& out, const Text& format, std::size_t begin, int depth) {
    const std::string_view bytes = format.bytes();
    if (!run_.step()) return bytes.size();
    if (depth > 2) return run_.value_error("Max string recursion exceeded"), bytes.size();
    if (begin == bytes.size()) return run_.value_error("Single '{{' encountered in format string"), bytes.size();
    std::size_t end = begin, open = 1;
    bool bracket = false;
    for (; end < bytes.size(); ++end) {
      if (bytes[end] == '{') ++open;
      if (bytes[end] == '}' && --open == 0) break;
    }
    if (end == bytes.size()) return run_.value_error("expected '}}' before end of string"), end;
    std::size_t name_end = begin;
    for (; name_end < end; ++name_end) {
      const char c = bytes[name_end];
      if (c == '[') bracket = true;
      if (c == ']') bracket = false;
      if (c == '{') return run_.value_error("unexpected '{{' in field name"), bytes.size();
      if (!bracket && (c == '!' || c == ':')) break;
    }
    char conversion = 0;
    std::size_t spec_begin = name_end;
    if (name_end < end && bytes[name_end] == '!') {
      if (name_end + 1 >= end) return run_.value_error("end of string while looking for conversion specifier"), end;
      conversion = bytes[name_end + 1];
      spec_begin = name_end + 2;
      if (spec_begin < end && bytes[spec_begin] != ':')
        return run_.value_error("expected ':' after conversion specifier"), end;
    }
    const Value value = look_up(bytes.substr(begin, name_end - begin));
    if (!run_.ok()) return end;
    TextBuilder spec_out(run_);
    if (spec_begin < end) {
      const Value spec_text = part(format, spec_begin + 1, end);
      if (run_.ok()) this->format(spec_out, spec_text.text(), depth + 1);
    }
    const Value spec = spec_out.finish();
    if (run_.ok()) put(out, value, conversion, spec.text().bytes());
    return end + 1;
  }

  Value part(const Text& format, std::size_t begin, std::size_t end) {
    TextBuilder out(run_);
    out.add(format, begin, end);
    return out.finish();
  }

  // "0.name[key]": the argument, then its attributes and items.
  Value look_up(std::string_view name) {
    const std::size_t first_end = std::min(name.find_first_of(".["), name.size());
    Value value = argument(name.substr(0, first_end));
    std::size_t at = first_end;
    while (at < name.size() && run_.ok()) {
      if (name[at] == '.') {
        const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
        if (end == at + 1) return run_.value_error("Empty attribute in format string");
        value = get_attribute(run_, value, name.substr(at + 1, end - at - 1));
        at = end;
      } else if (name[at] == '[') {
        const std::size_t end = name.find(']', at);
        if (end == std::string_view::npos) return run_.value_error("Missing ']' in format string");
        const std::string_view key = name.substr(at + 1, end - at - 1);
        if (key.empty()) return run_.value_error("Empty attribute in format string");
        value = is_number(key) ? get_item(run_, value, Value(number(key))) : get_item(run_, value, key);
        at = end + 1;
      } else {
        return run_.value_error("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return value;
  }

  static bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  }
  static std::int64_t number(std::string_view text) {
    std::int64_t out = 0;
    for (char c : text) out = std::min<std::int64_t>(out * 10 + (c - '0'), INT32_MAX);
    return out;
  }

  Value argument(std::string_view name) {
    std::int64_t at = 0;
    if (name.empty()) {
      if (manual_)
        return run_.value_error("cannot switch from manual field specification to automatic field numbering");
      automatic_ = true;
      at = next_++;
    } else if (is_number(name)) {
      if (automatic_)
        return run_.value_error("cannot switch from manual field specification to automatic field numbering");
      manual_ = true;
      at = number(name);
    } else {
      const Value* found = args_.named_value(name);
      return found != nullptr ? *found : run_.fail(FaultKind::python, "KeyError", repr_of(name));
    }
    if (at < static_cast<std::int64_t>(args_.positional.size())) return args_.positional[static_cast<std::size_t>(at)];
    return run_.fail(FaultKind::python, "IndexError", fmt::format("no positional argument {}", at));
  }

  void put(TextBuilder& out, Value value, char conversion, std::string_view spec) {
    if (conversion == 'r') {
      TextBuilder repr(run_);
      add_repr(run_, repr, value);
      value = repr.finish();
    } else if (conversion == 's') {
      value = Value(to_text(run_, value));
    } else if (conversion == 'a') {
      run_.unsupported("the conversion !a is not known here");
    } else if (conversion != 0) {
      run_.value_error("Unknown conversion specifier {}", conversion);
    }
    if (!run_.ok()) return;
    if (!markup_) return put_formatted(out, value, spec);
    if (value.is_text() && value.text().markup()) {
      if (!spec.empty()) run_.value_error("Unsupported format specification for Markup.");
      return out.add(value.text());
    }
    TextBuilder plain(run_);
    put_formatted(plain, value, spec);
    const Value made = plain.finish();
    if (run_.ok()) add_escaped(out, made.text());
  }

  void put_formatted(TextBuilder& out, const Value& value, std::string_view spec_text) {
    if (spec_text.empty()) return add_str(run_, out, value);
    if (!value.is_text() && !value.is_number()) {
      run_.type_error("unsupported format string passed to {}.__format__", type_name(value));
      return;
    }
    const auto spec = read_spec(run_, spec_text, value);
    if (!spec) return;
    if (value.is_text()) return put_text(out, value.text(), *spec);
    const std::string_view real_types = "eEfFgG%";
    const bool as_real = value.is(Kind::real) || real_types.find(spec->number.type) != std::string_view::npos;
    as_real ? put_real(out, value, *spec) : put_integer(out, value, *spec);
  }

  void put_text(TextBuilder& out, const Text& text, const Spec& spec) {
    const NumberFormat& n = spec.number;
    if ((n.type != 0 && n.type != 's') || n.grouping != 0 || spec.sign_given || n.alternate || spec.align == '=') {
      run_.value_error("the format specifier does not fit a str");
      return;
    }
    const std::int64_t length = n.precision < 0 ? text.length() : std::min<std::int64_t>(text.length(), n.precision);
    const std::int64_t missing = std::max<std::int64_t>(spec.width - length, 0);
    const std::int64_t left = spec.align == '>' ? missing : (spec.align == '^' ? missing / 2 : 0);
    out.repeat(spec.fill, left);
    out.add(text, 0, text.byte_at(length));
    out.repeat(spec.fill, missing - left);
  }

  void put_integer(TextBuilder& out, const Value& value, const Spec& spec) {
    const std::string_view types("\0bcdoxXn", 8);
    if (types.find(spec.number.type) == std::string_view::npos) {
      run_.value_error("Unknown format code '{}' for object of type '{}'", spec.number.type, type_name(value));
      return;
    }
    if (spec.number.precision >= 0) {
      run_.value_error("Precision not allowed in integer format specifier");
      return;
    }
    if (spec.number.type == 'c') {
      run_.unsupported("the format type c is not known here");
      return;
    }
    auto digits = format_integer(run_, value.integer(), spec.number);
    const bool decimal = spec.number.type == 0 || spec.number.type == 'd' || spec.number.type == 'n';
    if (digits && spec.number.grouping == ',' && !decimal) {
      run_.value_error("Cannot specify ',' with '{}'.", spec.number.type);
      return;
    }
    put_digits(out, digits, spec, decimal ? 3 : 4);
  }

  void put_real(TextBuilder& out, const Value& value, const Spec& spec) {
    const std::string_view types("\0eEfFgGn%", 9);
    if (types.find(spec.number.type) == std::string_view::npos) {
      run_.value_error("Unknown format code '{}' for object of type '{}'", spec.number.type, type_name(value));
      return;
    }
    put_digits(out, format_real(run_, value.real(), spec.number), spec, 3);
  }

  void put_digits(TextBuilder& out, std::optional<Digits> digits, const Spec& spec, std::size_t every) {
    if (!digits) return;
    const auto head = static_cast<std::int64_t>(digits->sign.size() + digits->prefix.size());
    const bool fill_zeros = spec.zero && spec.align == 0;
    const bool inside = spec.align == '=' || fill_zeros;
    if (spec.width > kWidestField) {
      run_.text_fits(run_.limits.text_bytes + 1);
      return;
    }
    if (spec.number.grouping != 0) {
      const bool zeros = inside && spec.fill == "0";
      group(digits->digits, spec.number.grouping, every, zeros ? spec.width - head : 0);
    }
    const std::int64_t missing = spec.width - head - static_cast<std::int64_t>(digits->digits.size());
    const std::int64_t all = std::max<std::int64_t>(missing, 0);
    std::int64_t left = all;
    if (spec.align == '<' || inside) left = 0;
    if (spec.align == '^') left = all / 2;
    out.repeat(spec.fill, left);
    out.add(digits->sign);
    out.add(digits->prefix);
    if (inside) out.repeat(spec.fill, all);
    out.add(digits->digits);
    if (!inside) out.repeat(spec.fill, all - left);
  }

  Run& run_;
  bool markup_;
  const Args& args_;
  bool automatic_ = false, manual_ = false;
  std::int64_t next_ = 0;
};

Value run_format(Run& run, const Text& format, const Args& args) {
  TextBuilder out(run);
  BraceFormatter(run, format, args).format(out, format, 1);
  return out.finish(format.markup());
}

}  // namespace

Value brace_format_method(Run& run, const Value& self, const Args& args) { return run_format(run, self.text(), args); }

Value brace_format_map_method(Run& run, const Value& self, const Args& args) {
  if (args.positional.size() != 1 || !args.named.empty())
    return run.type_error("format_map() takes exactly one argument ({} given)", args.positional.size());
  if (!args.positional[0].is(Kind::dict))
    return run.type_error("'{}' object is not a mapping", type_name(args.positional[0]));
  Args named;
  for (const auto& [key, value] : args.positional[0].as<Dict>().entries())
    if (key.is_text()) named.named.emplace_back(key.text().bytes(), value);
  return run_format(run, self.text(), named);
}

}  // namespace moe::inline MOE_ABI::chat

#include <algorithm>
#include <cmath>

#include "chat/characters.hpp"
#include "chat/format.hpp"
#include "chat/markup.hpp"
#include "chat/operators.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

/// One %-directive.
struct Directive {
  bool left = false, zero = false;
  std::int64_t width = 0;
  NumberFormat number;
};

class PercentFormatter {
 public:
  PercentFormatter(Run& run, const Text& format, const Value& values)
      : run_(run), format_(format), bytes_(format.bytes()), values_(values), out_(run) {
    mapping_ = !values.is(Kind::tuple) && !values.is_text() &&
               (values.is(Kind::dict) || values.is(Kind::list) || values.is(Kind::range) || values.is_undefined());
  }

  Value format() {
    std::size_t plain = 0;
    while (run_.ok()) {
      const std::size_t percent = bytes_.find('%', plain);
      out_.add(format_, plain, std::min(percent, bytes_.size()));
      if (percent == std::string_view::npos) break;
      at_ = percent + 1;
      directive();
      plain = at_;
    }
    const bool all_used = values_.is(Kind::tuple) ? next_ >= values_.items().size() : next_ > 0;
    if (run_.ok() && !all_used && !mapping_)
      return run_.type_error("not all arguments converted during string formatting");
    return out_.finish(format_.markup());
  }

 private:
  bool ended() {
    if (at_ < bytes_.size()) return false;
    run_.value_error("incomplete format");
    return true;
  }

  std::optional<Value> next_value() {
    if (keyed_) {
      if (keyed_used_) return run_.type_error("not enough arguments for format string"), std::nullopt;
      keyed_used_ = true;
      return *keyed_;
    }
    const bool tuple = values_.is(Kind::tuple);
    if (next_ >= (tuple ? values_.items().size() : 1))
      return run_.type_error("not enough arguments for format string"), std::nullopt;
    ++next_;
    return tuple ? values_.items()[next_ - 1] : values_;
  }

  // %(name): the value of that key, in place of the next one.
  void key() {
    if (!mapping_) {
      run_.type_error("format requires a mapping");
      return;
    }
    std::size_t depth = 1;
    const std::size_t begin = ++at_;
    while (at_ < bytes_.size() && depth > 0) {
      depth += bytes_[at_] == '(' ? 1 : 0;
      depth -= bytes_[at_] == ')' ? 1 : 0;
      ++at_;
    }
    if (depth > 0) {
      run_.value_error("incomplete format key");
      return;
    }
    const std::string_view name = bytes_.substr(begin, at_ - 1 - begin);
    if (values_.is_undefined()) {
      run_.use_of(values_);
      return;
    }
    const Value* found = values_.is(Kind::dict) ? values_.as<Dict>().find(name) : nullptr;
    if (found == nullptr) {
      if (values_.is(Kind::dict))
        run_.fail(FaultKind::python, "KeyError", repr_of(name));
      else
        run_.type_error("{} indices must be integers or slices, not str", type_name(values_));
      return;
    }
    keyed_ = *found;
    keyed_used_ = false;
  }

  // A number, or a star that takes the next value.
  std::optional<std::int64_t> amount() {
    if (at_ < bytes_.size() && bytes_[at_] == '*') {
      ++at_;
      const auto value = next_value();
      if (!value) return std::nullopt;
      if (!value->is_integer()) return run_.type_error("* wants int"), std::nullopt;
      return value->integer();
    }
    std::int64_t amount = 0;
    for (; at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9'; ++at_)
      amount = std::min<std::int64_t>(amount * 10 + (bytes_[at_] - '0'), INT32_MAX);
    return amount;
  }

  void directive() {
    if (!run_.step() || ended()) return;
    if (bytes_[at_] == '(') key();
    if (!run_.ok()) return;
    Directive d;
    for (; at_ < bytes_.size(); ++at_) {
      const char c = bytes_[at_];
      if (c == '-')
        d.left = true;
      else if (c == '+')
        d.number.sign = '+';
      else if (c == ' ')
        d.number.sign = d.number.sign == '+' ? '+' : ' ';
      else if (c == '#')
        d.number.alternate = true;
      else if (c == '0')
        d.zero = true;
      else
        break;
    }
    const auto width = amount();
    if (!width) return;
    d.width = *width;
    if (d.width < 0) {
      d.left = true;
      d.width = d.width == INT64_MIN ? INT64_MAX : -d.width;
    }
    if (at_ < bytes_.size() && bytes_[at_] == '.') {
      ++at_;
      const auto precision = amount();
      if (!precision) return;
      d.number.precision = static_cast<int>(std::clamp<std::int64_t>(*precision, 0, INT32_MAX));
    }
    if (at_ < bytes_.size() && (bytes_[at_] == 'h' || bytes_[at_] == 'l' || bytes_[at_] == 'L')) ++at_;
    if (ended()) return;
    const auto decoded = decode_utf8(bytes_.data() + at_);
    at_ += decoded.bytes;
    if (decoded.value == '%') return out_.add("%");
    const auto value = next_value();
    if (!value) return;
    d.number.type = decoded.value < 0x80 ? static_cast<char>(decoded.value) : '?';
    convert(d, *value);
  }

  void convert(Directive& d, const Value& value) {
    switch (d.number.type) {
      case 's':
      case 'r':
      case 'a': return text(d, value);
      case 'c': return character(d, value);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': return integer(d, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': return real(d, value);
      default: run_.value_error("unsupported format character");
    }
  }

  void text(const Directive& d, const Value& value) {
    if (d.number.type == 'a') {
      run_.unsupported("the conversion %a is not known here");
      return;
    }
    Value shown = value;
    if (d.number.type == 'r') {
      TextBuilder repr(run_);
      add_repr(run_, repr, value);
      shown = repr.finish();
    }
    if (run_.ok() && format_.markup()) shown = escape(run_, shown);
    if (!run_.ok()) return;
    const TextPtr all = to_text(run_, shown);
    const std::int64_t length =
        d.number.precision < 0 ? all->length() : std::min<std::int64_t>(all->length(), d.number.precision);
    if (!d.left) out_.repeat(" ", d.width - length);
    out_.add(*all, 0, all->byte_at(length));
    if (d.left) out_.repeat(" ", d.width - length);
  }

  void character(const Directive& d, const Value& value) {
    std::string one;
    if (value.is_text() && value.text().length() == 1) {
      one = value.text().bytes();
    } else if (value.is_integer() && value.integer() >= 0 && value.integer() < 0x110000 &&
               (value.integer() < 0xd800 || value.integer() > 0xdfff)) {
      append_utf8(one, static_cast<char32_t>(value.integer()));
    } else {
      run_.type_error("%c requires int or char");
      return;
    }
    if (!d.left) out_.repeat(" ", d.width - 1);
    out_.add(one, value.is_text() && !value.text().content().empty());
    if (d.left) out_.repeat(" ", d.width - 1);
  }

  void integer(Directive& d, const Value& value) {
    std::int64_t whole = value.integer();
    const bool decimal = d.number.type == 'd' || d.number.type == 'i' || d.number.type == 'u';
    if (value.is(Kind::real) && decimal) {
      const double cut = std::trunc(value.real());
      if (!std::isfinite(cut)) {
        run_.fail(FaultKind::python, std::isnan(cut) ? "ValueError" : "OverflowError",
                  "cannot convert a float that is not finite to integer");
        return;
      }
      if (std::abs(cut) >= 9.2e18) {
        run_.overflow();
        return;
      }
      whole = static_cast<std::int64_t>(cut);
    } else if (value.is_undefined()) {
      run_.use_of(value);
      return;
    } else if (!value.is_integer()) {
      run_.type_error("%{} format: {} is required, not {}", d.number.type, decimal ? "a real number" : "an integer",
                      type_name(value));
      return;
    }
    put(d, format_integer(run_, whole, d.number));
  }

  void real(const Directive& d, const Value& value) {
    if (value.is_undefined()) {
      run_.use_of(value);
      return;
    }
    if (!value.is_number()) {
      run_.type_error("must be real number, not {}", type_name(value));
      return;
    }
    put(d, format_real(run_, value.real(), d.number));
  }

  void put(const Directive& d, const std::optional<Digits>& digits) {
    if (!digits) return;
    const auto size = static_cast<std::int64_t>(digits->sign.size() + digits->prefix.size() + digits->digits.size());
    const std::int64_t missing = d.width - size;
    if (!d.left && !d.zero) out_.repeat(" ", missing);
    out_.add(digits->sign);
    out_.add(digits->prefix);
    if (!d.left && d.zero) out_.repeat("0", missing);
    out_.add(digits->digits);
    if (d.left) out_.repeat(" ", missing);
  }

  Run& run_;
  const Text& format_;
  std::string_view bytes_;
  const Value& values_;
  TextBuilder out_;
  std::size_t at_ = 0, next_ = 0;
  bool mapping_ = false, keyed_used_ = false;
  std::optional<Value> keyed_;
};

}  // namespace

Value percent_format(Run& run, const Text& format, const Value& values) {
  return PercentFormatter(run, format, values).format();
}

}  // namespace moe::inline MOE_ABI::chat

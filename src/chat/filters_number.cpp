// Filters over numbers: int, float, abs, round, filesizeformat.

#include <cmath>

#include "chat/arguments.hpp"
#include "chat/filters.hpp"
#include "chat/format.hpp"
#include "chat/number.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// int(float); nothing for NaN and infinity.
std::optional<Value> truncated(Run& run, double value) {
  if (!std::isfinite(value)) return std::nullopt;
  const double whole = std::trunc(value);
  if (whole < -9223372036854775808.0 || whole >= 9223372036854775808.0) return run.overflow();
  return Value(static_cast<std::int64_t>(whole));
}

Value int_filter(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_int", {"default", "base"});
  if (!a) return {};
  const Value absent = a.value_or(0, Value(0));
  if (value.is_undefined()) return run.use_of(value);
  if (value.is_integer()) return value.integer();
  if (value.is(Kind::real)) {
    if (std::isinf(value.real()))
      return run.fail(FaultKind::python, "OverflowError", "cannot convert float infinity to integer");
    return truncated(run, value.real()).value_or(absent);
  }
  if (!value.is_text()) return absent;
  run.look(value.text().bytes().size());
  const bool has_base = !a.has(1) || a[1].is_integer();
  const std::int64_t base = has_base && a.has(1) ? a[1].integer() : 10;
  if (has_base && (base == 0 || (base >= 2 && base <= 36))) {
    bool too_big = false;
    const auto whole = read_int(value.text().bytes(), static_cast<int>(base), &too_big);
    if (whole) return *whole;
    if (too_big) return run.overflow();
  }
  const auto real = read_float(value.text().bytes());
  return real ? truncated(run, *real).value_or(absent) : absent;
}

Value float_filter(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_float", {"default"});
  if (!a) return {};
  if (value.is_undefined()) return run.use_of(value);
  if (value.is_number()) return value.real();
  if (value.is_text()) run.look(value.text().bytes().size());
  const auto real = value.is_text() ? read_float(value.text().bytes()) : std::nullopt;
  return real ? Value(*real) : a.value_or(0, Value(0.0));
}

Value abs_filter(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "abs", {});
  if (!a) return {};
  if (value.is(Kind::real)) return std::abs(value.real());
  if (!value.is_integer()) return run.type_error("bad operand type for abs(): '{}'", type_name(value));
  return value.integer() < 0 ? negate(run, value) : Value(value.integer());
}

// round(int, -digits): half to even.
Value round_integer(Run& run, std::int64_t value, std::int64_t digits) {
  if (digits >= 0) return value;
  if (digits < -18) return 0;
  std::int64_t unit = 1;
  for (; digits < 0; ++digits) unit *= 10;
  const std::int64_t half = unit / 2;
  std::int64_t rest = value % unit, whole = value / unit;
  if (rest < 0) {
    rest += unit;
    --whole;
  }
  if (rest > half || (rest == half && (whole & 1) != 0)) ++whole;
  std::int64_t out = 0;
  return __builtin_mul_overflow(whole, unit, &out) ? run.overflow() : Value(out);
}

// func(value * 10 ** precision) / 10 ** precision, with math.ceil or math.floor.
Value round_towards(Run& run, const Value& value, const Value& precision, bool up) {
  const Value scale = arithmetic(run, Arithmetic::power, Value(10), precision);
  const Value scaled = run.ok() ? arithmetic(run, Arithmetic::multiply, value, scale) : Value();
  if (!run.ok()) return {};
  if (!scaled.is_number()) return run.type_error("must be real number, not {}", type_name(scaled));
  Value whole = scaled;
  if (scaled.is(Kind::real)) {
    const auto cut = truncated(run, up ? std::ceil(scaled.real()) : std::floor(scaled.real()));
    if (!cut)
      return run.fail(FaultKind::python, std::isnan(scaled.real()) ? "ValueError" : "OverflowError",
                      "cannot convert a float that is not finite to integer");
    whole = *cut;
  }
  return run.ok() ? arithmetic(run, Arithmetic::divide, whole, scale) : Value();
}

Value round_filter(Run& run, const Value& value, const Args& args) {
  const Bound<2> a(run, args, "do_round", {"precision", "method"});
  if (!a) return {};
  const auto method = a.has(1) ? to_text(run, a[1]) : Text::make("common");
  const std::string_view name = method->bytes();
  if (name != "common" && name != "ceil" && name != "floor")
    return run.fail(FaultKind::refused, "FilterArgumentError", "method must be common, ceil or floor");
  if (name != "common") return round_towards(run, value, a.value_or(0, Value(0)), name == "ceil");
  if (!value.is_number()) return run.type_error("type {} doesn't define __round__ method", type_name(value));
  if (a.value_or(0, Value(0)).is_none()) {
    if (value.is_integer()) return value.integer();
    const double nearest = std::nearbyint(value.real());
    const auto whole = truncated(run, nearest);
    return whole ? *whole : run.value_error("cannot convert a float that is not finite to integer");
  }
  const std::int64_t digits = a.index(0, 0);
  if (!run.ok()) return {};
  if (value.is_integer()) return round_integer(run, value.integer(), digits);
  const double rounded = round_to(value.real(), digits);
  if (std::isinf(rounded) && std::isfinite(value.real()))
    return run.fail(FaultKind::python, "OverflowError", "rounded value too large to represent");
  return rounded;
}

Value filesizeformat(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "do_filesizeformat", {"binary"});
  if (!a) return {};
  if (value.is_undefined()) return run.use_of(value);
  const auto read = value.is_number() ? std::optional(value.real())
                                      : (value.is_text() ? read_float(value.text().bytes()) : std::nullopt);
  if (!read)
    return value.is_text() ? run.value_error("could not convert string to float")
                           : run.type_error("float() argument must be a string or a real number");
  static constexpr std::string_view kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr std::string_view kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  const auto& units = a.truth(0) ? kBinary : kDecimal;
  const double base = a.truth(0) ? 1024 : 1000, bytes = *read;
  if (bytes == 1) return run.text("1 Byte");
  if (bytes < base) {
    const auto whole = truncated(run, bytes);
    return whole ? run.text(fmt::format("{} Bytes", whole->integer())) : run.overflow();
  }
  double unit = base;
  std::size_t i = 0;
  for (; i < 8; ++i) {
    unit *= base;
    if (bytes < unit) break;
  }
  NumberFormat format;
  format.type = 'f';
  format.precision = 1;
  const auto digits = format_real(run, base * bytes / unit, format);
  return digits ? run.text(digits->sign + digits->digits + " " + std::string(units[std::min<std::size_t>(i, 7)]))
                : Value();
}

constexpr MethodRow kNumberFilters[] = {{"abs", abs_filter},
                                        {"filesizeformat", filesizeformat},
                                        {"float", float_filter},
                                        {"int", int_filter},
                                        {"round", round_filter}};

}  // namespace

std::span<const MethodRow> number_filters() { return kNumberFilters; }

}  // namespace moe::inline MOE_ABI::chat

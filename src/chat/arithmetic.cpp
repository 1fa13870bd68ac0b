#include <algorithm>
#include <cmath>

#include "chat/format.hpp"
#include "chat/markup.hpp"
#include "chat/operators.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

constexpr std::string_view kArithmeticSigns[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

Value mismatch(Run& run, Arithmetic op, const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return run.use_of(a.is_undefined() ? a : b);
  if (op == Arithmetic::add && (a.is_text() || a.is_sequence()))
    return run.type_error("can only concatenate {} (not \"{}\") to {}", type_name(a), type_name(b), type_name(a));
  if (op == Arithmetic::multiply && (a.is_text() || a.is_sequence() || b.is_text() || b.is_sequence()))
    return run.type_error("can't multiply sequence by non-int of type '{}'", type_name(a.is_integer() ? a : b));
  return run.type_error("unsupported operand type(s) for {}: '{}' and '{}'", kArithmeticSigns[static_cast<int>(op)],
                        type_name(a), type_name(b));
}

Value divided_by_zero(Run& run, const char* what) { return run.fail(FaultKind::python, "ZeroDivisionError", what); }

Value finite(Run& run, double value) {
  if (std::isfinite(value)) return value;
  return run.fail(FaultKind::python, "OverflowError", "(34, 'Numerical result out of range')");
}

Value real_power(Run& run, double a, double b) {
  if (a == 0 && b < 0) return divided_by_zero(run, "0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && std::trunc(b) != b)
    return run.unsupported("a complex number: a negative number to a power that is not whole");
  const double power = std::pow(a, b);
  return std::isfinite(a) && std::isfinite(b) ? finite(run, power) : Value(power);
}

Value integer_power(Run& run, std::int64_t a, std::int64_t b) {
  if (b < 0) return real_power(run, static_cast<double>(a), static_cast<double>(b));
  std::int64_t result = 1;
  while (b > 0) {
    if ((b & 1) != 0 && __builtin_mul_overflow(result, a, &result)) return run.overflow();
    b >>= 1;
    if (b > 0 && __builtin_mul_overflow(a, a, &a)) return run.overflow();
  }
  return result;
}

Value integers(Run& run, Arithmetic op, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  switch (op) {
    case Arithmetic::add: return __builtin_add_overflow(a, b, &out) ? run.overflow() : Value(out);
    case Arithmetic::subtract: return __builtin_sub_overflow(a, b, &out) ? run.overflow() : Value(out);
    case Arithmetic::multiply: return __builtin_mul_overflow(a, b, &out) ? run.overflow() : Value(out);
    case Arithmetic::divide:
      if (b == 0) return divided_by_zero(run, "division by zero");
      return static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b));
    case Arithmetic::power: return integer_power(run, a, b);
    default: break;
  }
  if (b == 0)
    return divided_by_zero(run,
                           op == Arithmetic::modulo ? "integer modulo by zero" : "integer division or modulo by zero");
  // Only -2^63 / -1 overflows, and its remainder traps on some machines.
  if (b == -1) return op == Arithmetic::modulo ? Value(0) : negate(run, Value(a));
  std::int64_t quotient = a / b, rest = a % b;
  if (rest != 0 && (rest < 0) != (b < 0)) {
    rest += b;
    --quotient;
  }
  return op == Arithmetic::modulo ? rest : quotient;
}

// Python's floor division of floats: the remainder has the sign of the divisor, the quotient is that much smaller.
Value real_division(Run& run, Arithmetic op, double a, double b) {
  if (b == 0)
    return divided_by_zero(run, op == Arithmetic::divide   ? "float division by zero"
                                : op == Arithmetic::modulo ? "float modulo"
                                                           : "float floor division by zero");
  if (op == Arithmetic::divide) return a / b;
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  } else if (rest == 0) {
    rest = std::copysign(0.0, b);
  }
  if (op == Arithmetic::modulo) return rest;
  if (quotient == 0) return std::copysign(0.0, a / b);
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return whole;
}

Value reals(Run& run, Arithmetic op, double a, double b) {
  switch (op) {
    case Arithmetic::add: return a + b;
    case Arithmetic::subtract: return a - b;
    case Arithmetic::multiply: return a * b;
    case Arithmetic::power: return real_power(run, a, b);
    default: return real_division(run, op, a, b);
  }
}

Value concatenate(Run& run, const Value& a, const Value& b) {
  if (a.is_text() && b.is_text()) {
    const Text &x = a.text(), &y = b.text();
    const bool markup = x.markup() || y.markup();
    TextBuilder out(run);
    // Markup escapes what is added to it, from either side.
    if (markup && !x.markup())
      add_escaped(out, x);
    else
      out.add(x);
    if (markup && !y.markup())
      add_escaped(out, y);
    else
      out.add(y);
    return out.finish(markup);
  }
  if (!a.is_sequence() || a.kind() != b.kind()) return mismatch(run, Arithmetic::add, a, b);
  if (!run.step(a.items().size() + b.items().size())) return {};
  std::vector<Value> items;
  items.reserve(a.items().size() + b.items().size());
  items.insert(items.end(), a.items().begin(), a.items().end());
  items.insert(items.end(), b.items().begin(), b.items().end());
  return a.is(Kind::list) ? run.list(std::move(items)) : run.tuple(std::move(items));
}

Value repeat(Run& run, const Value& what, std::int64_t count) {
  count = std::max<std::int64_t>(count, 0);
  if (what.is_text()) {
    const Text& text = what.text();
    TextBuilder out(run);
    if (text.content().empty()) {
      out.repeat(text.bytes(), count);
    } else {
      for (; count > 0 && run.step(); --count) out.add(text);
    }
    return out.finish(text.markup());
  }
  const auto& items = what.items();
  if (items.empty()) count = 0;
  if (count > 0 && !run.step(static_cast<std::uint64_t>(count) > run.limits.steps
                                 ? run.limits.steps + 1
                                 : static_cast<std::uint64_t>(count) * items.size()))
    return {};
  std::vector<Value> out;
  out.reserve(items.size() * static_cast<std::size_t>(count));
  for (; count > 0; --count) out.insert(out.end(), items.begin(), items.end());
  return what.is(Kind::list) ? run.list(std::move(out)) : run.tuple(std::move(out));
}

}  // namespace

Value arithmetic(Run& run, Arithmetic op, const Value& a, const Value& b) {
  if (a.is_integer() && b.is_integer()) return integers(run, op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return reals(run, op, a.real(), b.real());
  if (op == Arithmetic::modulo && a.is_text()) return percent_format(run, a.text(), b);
  if (op == Arithmetic::add && (a.is_text() || a.is_sequence())) return concatenate(run, a, b);
  if (op == Arithmetic::multiply) {
    if ((a.is_text() || a.is_sequence()) && b.is_integer()) return repeat(run, a, b.integer());
    if ((b.is_text() || b.is_sequence()) && a.is_integer()) return repeat(run, b, a.integer());
  }
  return mismatch(run, op, a, b);
}

Value negate(Run& run, const Value& value) {
  if (value.is(Kind::real)) return -value.real();
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is_integer()) return run.type_error("bad operand type for unary -: '{}'", type_name(value));
  return value.integer() == INT64_MIN ? run.overflow() : Value(-value.integer());
}

Value plus(Run& run, const Value& value) {
  if (value.is(Kind::real)) return value;
  if (value.is_undefined()) return run.use_of(value);
  if (!value.is_integer()) return run.type_error("bad operand type for unary +: '{}'", type_name(value));
  return Value(value.integer());
}

}  // namespace moe::inline MOE_ABI::chat

// jinja2's tests: value is name(arguments).

#include "chat/arguments.hpp"
#include "chat/characters.hpp"
#include "chat/filters.hpp"
#include "chat/iterate.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

// Tests without arguments: f(run, value) -> bool.
template <bool (*Holds)(Run&, const Value&)>
Value plain(Run& run, const Value& value, const Args& args) {
  const Bound<0> a(run, args, "the test", {});
  return a ? Value(Holds(run, value)) : Value();
}

template <Comparison Op>
Value comparison(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "the test", {"other"}, 1, Naming::positional_only);
  return a ? Value(compare(run, Op, value, a[0])) : Value();
}

bool rest_is(Run& run, const Value& value, const Value& divisor, std::int64_t rest) {
  const Value modulo = arithmetic(run, Arithmetic::modulo, value, divisor);
  return run.ok() && equal(modulo, Value(rest));
}

bool odd(Run& run, const Value& v) { return rest_is(run, v, Value(2), 1); }
bool even(Run& run, const Value& v) { return rest_is(run, v, Value(2), 0); }
bool defined(Run&, const Value& v) { return !v.is_undefined(); }
bool undefined(Run&, const Value& v) { return v.is_undefined(); }
bool none(Run&, const Value& v) { return v.is_none(); }
bool boolean(Run&, const Value& v) { return v.is(Kind::boolean); }
bool is_false(Run&, const Value& v) { return v.is(Kind::boolean) && !v.boolean(); }
bool is_true(Run&, const Value& v) { return v.is(Kind::boolean) && v.boolean(); }
bool integer(Run&, const Value& v) { return v.is(Kind::integer); }
bool real(Run&, const Value& v) { return v.is(Kind::real); }
bool string(Run&, const Value& v) { return v.is_text(); }
bool mapping(Run&, const Value& v) { return v.is(Kind::dict); }
bool number(Run&, const Value& v) { return v.is_number(); }
bool iterable(Run&, const Value& v) { return is_iterable(v); }
bool escaped(Run&, const Value& v) { return v.is_text() && v.text().markup(); }
bool callable(Run&, const Value& v) {
  return v.is(Kind::function) || v.is(Kind::loop) || v.is_undefined() ||
         (v.is(Kind::thing) && v.as<Thing>().callable());
}
// What has a length and can be indexed.
bool sequence(Run&, const Value& v) {
  return v.is_text() || v.is_sequence() || v.is(Kind::dict) || v.is(Kind::range) || v.is_undefined();
}

template <bool (*Is)(char32_t)>
bool cased(Run& run, const Value& v) {
  bool some = false, all = true;
  const TextPtr text = to_text(run, v);
  run.look(text->bytes().size());
  each_character(text->bytes(), [&](char32_t c, std::size_t, std::size_t) {
    if (Is(c))
      some = true;
    else if (is_cased(c))
      all = false;
  });
  return some && all;
}

bool is_filter(Run& run, const Value& v) {
  if (!hashable(v)) run.type_error("unhashable type: '{}'", type_name(v));
  return v.is_text() && find_filter(v.text().bytes()) != nullptr;
}
bool is_test(Run& run, const Value& v) {
  if (!hashable(v)) run.type_error("unhashable type: '{}'", type_name(v));
  return v.is_text() && find_test(v.text().bytes()) != nullptr;
}

Value divisibleby(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "test_divisibleby", {"num"}, 1);
  return a ? Value(rest_is(run, value, a[0], 0)) : Value();
}
Value sameas(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "test_sameas", {"other"}, 1);
  return a ? Value(same_object(value, a[0])) : Value();
}
Value in(Run& run, const Value& value, const Args& args) {
  const Bound<1> a(run, args, "test_in", {"seq"}, 1);
  return a ? Value(compare(run, Comparison::in, value, a[0])) : Value();
}

constexpr MethodRow kTests[] = {{"!=", comparison<Comparison::ne>},
                                {"<", comparison<Comparison::lt>},
                                {"<=", comparison<Comparison::le>},
                                {"==", comparison<Comparison::eq>},
                                {">", comparison<Comparison::gt>},
                                {">=", comparison<Comparison::ge>},
                                {"boolean", plain<boolean>},
                                {"callable", plain<callable>},
                                {"defined", plain<defined>},
                                {"divisibleby", divisibleby},
                                {"eq", comparison<Comparison::eq>},
                                {"equalto", comparison<Comparison::eq>},
                                {"escaped", plain<escaped>},
                                {"even", plain<even>},
                                {"false", plain<is_false>},
                                {"filter", plain<is_filter>},
                                {"float", plain<real>},
                                {"ge", comparison<Comparison::ge>},
                                {"greaterthan", comparison<Comparison::gt>},
                                {"gt", comparison<Comparison::gt>},
                                {"in", in},
                                {"integer", plain<integer>},
                                {"iterable", plain<iterable>},
                                {"le", comparison<Comparison::le>},
                                {"lessthan", comparison<Comparison::lt>},
                                {"lower", plain<cased<is_lower>>},
                                {"lt", comparison<Comparison::lt>},
                                {"mapping", plain<mapping>},
                                {"ne", comparison<Comparison::ne>},
                                {"none", plain<none>},
                                {"number", plain<number>},
                                {"odd", plain<odd>},
                                {"sameas", sameas},
                                {"sequence", plain<sequence>},
                                {"string", plain<string>},
                                {"test", plain<is_test>},
                                {"true", plain<is_true>},
                                {"undefined", plain<undefined>},
                                {"upper", plain<cased<is_upper>>}};

}  // namespace

const MethodRow* find_test(std::string_view name) {
  for (const MethodRow& row : kTests)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace moe::inline MOE_ABI::chat

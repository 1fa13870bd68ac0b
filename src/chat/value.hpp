#pragma once
// Values of a template, with Python's meaning. None of those that JSON knows can change: the sandbox of the reference
// refuses append(), update() and their like, so lists and dicts may be shared freely.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/text.hpp"

namespace moe::inline MOE_ABI::chat {

class Run;
class Value;
struct Args;

enum class Kind : std::uint8_t {
  missing,    ///< no value at all: a variable before its assignment, an argument that was left out
  undefined,  ///< jinja2's Undefined
  none,
  boolean,
  integer,
  real,
  text,
  list,
  tuple,
  dict,
  range,
  view,      ///< dict.keys(), .values(), .items()
  iterator,  ///< generators and iterators: can be walked once
  space,     ///< namespace()
  function,  ///< whatever can be called
  loop,      ///< the variable `loop`
  thing,     ///< cycler, joiner and other objects with a few attributes
};

class Value {
 public:
  Value() = default;  ///< None
  Value(bool b) : kind_(Kind::boolean), integer_(b ? 1 : 0) {}
  Value(std::int64_t i) : kind_(Kind::integer), integer_(i) {}
  Value(int i) : Value(static_cast<std::int64_t>(i)) {}
  Value(double d) : kind_(Kind::real), real_(d) {}
  Value(TextPtr text) : kind_(Kind::text), object_(std::const_pointer_cast<Text>(std::move(text))) {}
  Value(const char*) = delete;
  Value(Kind kind, std::shared_ptr<Object> object) : kind_(kind), object_(std::move(object)) {}
  static Value missing() { return Value(Kind::missing, nullptr); }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_text() const { return kind_ == Kind::text; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_missing() const { return kind_ == Kind::missing; }
  bool is_sequence() const { return kind_ == Kind::list || kind_ == Kind::tuple; }
  /// int and its subclass bool.
  bool is_integer() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integer() || kind_ == Kind::real; }

  bool boolean() const { return integer_ != 0; }
  std::int64_t integer() const { return integer_; }
  double real() const { return kind_ == Kind::real ? real_ : static_cast<double>(integer_); }
  const Text& text() const { return static_cast<const Text&>(*object_); }
  TextPtr text_ptr() const { return std::static_pointer_cast<const Text>(object_); }
  const std::vector<Value>& items() const;
  template <class T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  template <class T>
  std::shared_ptr<T> share() const {
    return std::static_pointer_cast<T>(object_);
  }
  const Object* object() const { return object_.get(); }

 private:
  Kind kind_ = Kind::none;
  union {
    std::int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<Object> object_;
};

/// Lists and tuples.
class List : public Object {
 public:
  explicit List(std::vector<Value> items);
  const std::vector<Value>& items() const { return items_; }
  int depth() const { return depth_; }
  std::uint64_t weight() const { return weight_; }
  /// Every item is hashable; asked of tuples.
  bool hashable_items() const { return hashable_; }
  bool group = false;  ///< what groupby yields: its two items are also called grouper and list

 private:
  std::vector<Value> items_;
  int depth_ = 1;
  std::uint64_t weight_ = 1;
  bool hashable_ = true;
};

/// Keys in the order of their insertion; any key that Python can hash.
class Dict : public Object {
 public:
  using Entry = std::pair<Value, Value>;
  /// The value of an equal key is replaced and keeps its place. The key must be hashable.
  void set(Value key, Value value);
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }
  std::uint64_t weight() const { return weight_; }

 private:
  // A tree and not a hash table, which chosen keys could make slow. Equal keys (1, 1.0, true) are
  // one key.
  struct Before {
    bool operator()(const Value& a, const Value& b) const;
  };
  std::vector<Entry> entries_;
  std::map<Value, std::uint32_t, Before> places_;  // empty up to 8 entries
  int depth_ = 1;
  std::uint64_t weight_ = 1;
};

class Undefined : public Object {
 public:
  Undefined(std::string what, bool is_unsafe) : message(std::move(what)), unsafe(is_unsafe) {}
  std::string message;
  bool unsafe;  ///< use of it is a SecurityError
};

class Range : public Object {
 public:
  Range(std::int64_t start, std::int64_t stop, std::int64_t step);
  std::int64_t start, stop, step, length;
  /// Modulo 2^64: an index beyond the end may leave the range of the type.
  std::int64_t at(std::int64_t i) const {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(start) +
                                     static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(step));
  }
};

enum class ViewOf : std::uint8_t { keys, values, items };
class View : public Object {
 public:
  View(std::shared_ptr<Dict> whole, ViewOf part) : dict(std::move(whole)), of(part) {}
  std::shared_ptr<Dict> dict;
  ViewOf of;
};

/// Walked once. next() gives false at the end and after a fault.
class Iterator : public Object {
 public:
  explicit Iterator(std::string_view type) : type_name(type) {}
  virtual bool next(Run& run, Value& item) = 0;
  std::string_view type_name;
  int depth = 1;  ///< iterators over iterators
};

class Space : public Clearable {
 public:
  void clear() override { attributes = std::make_shared<Dict>(); }
  std::shared_ptr<Dict> attributes = std::make_shared<Dict>();
};

class Function : public Object {
 public:
  virtual Value call(Run& run, const Args& args) = 0;
  /// repr(), or "" where Python prints an address.
  virtual std::string repr() const { return {}; }
  virtual Value attribute(Run&, std::string_view) { return Value::missing(); }
  virtual std::string_view type_name() const { return "function"; }
  int depth = 1;  ///< counts what it is bound to, so that no chain of any length can arise
};

class Thing : public Object {
 public:
  virtual std::string_view type_name() const = 0;
  virtual Value attribute(Run& run, std::string_view name) = 0;  ///< missing where there is none
  virtual Value item(Run&, std::string_view) { return Value::missing(); }
  virtual bool callable() const { return false; }
  virtual Value call(Run&, const Args&) { return {}; }
  int depth = 1;
};

/// Arguments of a call.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
  const Value* named_value(std::string_view name) const;
};

/// Python's name of the type: "str", "NoneType".
std::string_view type_name(const Value& value);
/// bool(value).
bool truthy(const Value& value);
/// Whether the value may be the key of a dict.
bool hashable(const Value& value);
/// ==, which cannot fail.
bool equal(const Value& a, const Value& b);
/// len(), or -1 for types without one.
std::int64_t length_of(const Value& value);
/// Levels of lists and dicts below the value.
int depth_of(const Value& value);
/// What a walk over all of the value visits, counted with repetition: a list of two equal lists of two equal lists ...
/// is small in memory and huge to walk. Saturates.
std::uint64_t weight_of(const Value& value);
/// `is`, as far as it can be told here: equal numbers and texts of one type count as one object.
bool same_object(const Value& a, const Value& b);

}  // namespace moe::inline MOE_ABI::chat

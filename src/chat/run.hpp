#pragma once
// The state of one rendering: remaining resources, and the first fault. A function that fails reports here and returns
// None; every loop checks ok(), so that rendering stops at once.

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "chat/fault.hpp"
#include "chat/limits.hpp"
#include "chat/value.hpp"

namespace moe::inline MOE_ABI::chat {

struct DateTime;
class Evaluator;

class Run {
 public:
  explicit Run(const Limits& allowed) : limits(allowed) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();

  const Limits limits;
  int line = 0;                    ///< of the template, currently evaluated
  const DateTime* now = nullptr;   ///< the time for strftime_now; null: refused
  Evaluator* evaluator = nullptr;  ///< for filters that call filters and macros
  int repr_depth = 0;              ///< namespaces inside namespaces that are being printed

  bool ok() const { return !fault_; }
  const std::optional<Fault>& fault() const { return fault_; }

  /// The first fault is kept. All return None.
  Value fail(FaultKind kind, std::string exception, std::string message);
  template <class... T>
  Value type_error(fmt::format_string<T...> format, T&&... args) {
    return fail(FaultKind::python, "TypeError", fmt::format(format, std::forward<T>(args)...));
  }
  template <class... T>
  Value value_error(fmt::format_string<T...> format, T&&... args) {
    return fail(FaultKind::python, "ValueError", fmt::format(format, std::forward<T>(args)...));
  }
  template <class... T>
  Value unsupported(fmt::format_string<T...> format, T&&... args) {
    return fail(FaultKind::unsupported, {}, fmt::format(format, std::forward<T>(args)...));
  }
  /// The fault of using an undefined value.
  Value use_of(const Value& undefined);
  Value overflow();

  /// Uses steps; false when none are left, and after a fault.
  bool step(std::uint64_t count = 1);
  /// Steps for processing so many bytes of text.
  bool look(std::size_t bytes) { return step(bytes >> 10); }
  /// Steps for traversing a whole value.
  bool walk(const Value& value) { return step(weight_of(value) >> 3); }
  /// a == b, with the steps that it takes.
  bool same(const Value& a, const Value& b) { return step(std::min(weight_of(a), weight_of(b)) >> 3) && equal(a, b); }
  /// False, with a fault, if a text of so many bytes exceeds the limit.
  bool text_fits(std::size_t bytes);

  /// Creates objects, counting their memory.
  template <class T, class... A>
  std::shared_ptr<T> make(std::size_t extra_bytes, A&&... args) {
    auto object = std::make_shared<T>(std::forward<A>(args)...);
    charge(*object, sizeof(T) + extra_bytes);
    return object;
  }
  Value text(std::string bytes, std::vector<Span> content = {}, bool markup = false);
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  Value dict(std::shared_ptr<Dict> dict);
  Value iterator(std::shared_ptr<Iterator> iterator, const Value& source);
  Value undefined(std::string message, bool unsafe = false);
  /// Registers an object that may be part of a cycle; it is cleared when the run ends.
  void keep(std::shared_ptr<Clearable> object);
  void charge(Object& object, std::size_t bytes);

 private:
  Value sequence(Kind kind, std::vector<Value> items);
  bool deep(int depth);

  Heap heap_;
  std::uint64_t steps_ = 0;
  std::optional<Fault> fault_;
  std::vector<std::shared_ptr<Clearable>> kept_;
};

/// Builds a text piece by piece with its marks. Stops growing at the size limit.
class TextBuilder {
 public:
  explicit TextBuilder(Run& run) : run_(run) {}
  /// The template's own text.
  void add(std::string_view bytes) { add(bytes, false); }
  void add(std::string_view bytes, bool from_content);
  void add(const Text& text) { add(text, 0, text.bytes().size()); }
  /// Bytes [begin, end) of another text, with their marks.
  void add(const Text& text, std::size_t begin, std::size_t end);
  void repeat(std::string_view bytes, std::int64_t count);
  std::size_t size() const { return bytes_.size(); }
  /// Python joins the pieces only at the end, and fails there if one of them is not a text.
  void add_wrong(std::string_view type) { wrong_ = type; }
  bool all_text();
  Value finish(bool markup = false);
  std::string& bytes() { return bytes_; }
  std::vector<Span>& content() { return content_; }

 private:
  void mark(std::size_t begin, std::size_t end);
  Run& run_;
  std::string bytes_;
  std::vector<Span> content_;
  std::string_view wrong_;
};

/// Sequentially tells whether bytes of a text came from a message.
class MarkReader {
 public:
  explicit MarkReader(const Text& text) : spans_(text.content()) {}
  /// `at` must not decrease from call to call.
  bool operator()(std::size_t at) {
    while (next_ < spans_.size() && spans_[next_].end <= at) ++next_;
    return next_ < spans_.size() && spans_[next_].begin <= at;
  }

 private:
  const std::vector<Span>& spans_;
  std::size_t next_ = 0;
};

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// One rendering: what it may still use, and the first fault. A function that fails says so here and returns None; every
// loop asks ok(), so that the rendering ends at once.

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
  int line = 0;                    ///< of the template, where the evaluation stands
  const DateTime* now = nullptr;   ///< what strftime_now tells; null: it is refused
  Evaluator* evaluator = nullptr;  ///< filters that call filters and macros go through it
  int repr_depth = 0;              ///< namespaces inside namespaces that are being printed

  bool ok() const { return !fault_; }
  const std::optional<Fault>& fault() const { return fault_; }

  /// The first fault stays. All give None.
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
  /// What comes of using an undefined value.
  Value use_of(const Value& undefined);
  Value overflow();

  /// Takes steps; false when none are left, and after a fault.
  bool step(std::uint64_t count = 1);
  /// Steps for looking at so many bytes of text.
  bool look(std::size_t bytes) { return step(bytes >> 10); }
  /// Steps for walking over all of a value.
  bool walk(const Value& value) { return step(weight_of(value) >> 3); }
  /// a == b, with the steps that it takes.
  bool same(const Value& a, const Value& b) { return step(std::min(weight_of(a), weight_of(b)) >> 3) && equal(a, b); }
  /// False, with a fault, when a text of so many bytes may not be.
  bool text_fits(std::size_t bytes);

  /// Objects are made here, so that their memory is counted.
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
  /// Keeps an object that may be part of a cycle until the run ends, which then empties it.
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

/// Builds a text piece by piece and keeps the marks right. Stops growing once a text of that size may not be.
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
  /// Python joins the pieces at the end only, and fails there when one of them is no text.
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

/// Asks a text, front to back, whether single bytes came from a message.
class MarkReader {
 public:
  explicit MarkReader(const Text& text) : spans_(text.content()) {}
  /// `at` must not fall from call to call.
  bool operator()(std::size_t at) {
    while (next_ < spans_.size() && spans_[next_].end <= at) ++next_;
    return next_ < spans_.size() && spans_[next_].begin <= at;
  }

 private:
  const std::vector<Span>& spans_;
  std::size_t next_ = 0;
};

}  // namespace moe::inline MOE_ABI::chat

#include "chat/run.hpp"

#include <algorithm>

#include "support/show.hpp"

namespace moe::inline MOE_ABI::chat {

Error as_error(const Fault& fault, const std::string& template_name) {
  ErrorCode code = ErrorCode::bad_argument;
  if (fault.kind == FaultKind::syntax) code = ErrorCode::bad_file;
  if (fault.kind == FaultKind::unsupported) code = ErrorCode::unsupported;
  std::string where = fmt::format("chat template {}", template_name);
  if (fault.line > 0) where += fmt::format(", line {}", fault.line);
  const std::string name = fault.exception.empty() ? std::string() : fault.exception + ": ";
  return {code, fmt::format("{}: {}{}", where, name, shortened(fault.message, 300))};
}

Run::~Run() {
  // All objects that can be part of a cycle are in kept_. Clearing them one by one breaks all cycles, and none is
  // destroyed from inside another, so the recursion depth is that of nested lists.
  for (const auto& object : kept_) object->clear();
}

Value Run::fail(FaultKind kind, std::string exception, std::string message) {
  if (!fault_) fault_ = Fault{kind, std::move(exception), std::move(message), line};
  return {};
}

Value Run::use_of(const Value& value) {
  if (!value.is_undefined()) return fail(FaultKind::refused, "UndefinedError", "an undefined value is used");
  const auto& undefined = value.as<Undefined>();
  return fail(FaultKind::refused, undefined.unsafe ? "SecurityError" : "UndefinedError", undefined.message);
}

Value Run::overflow() { return fail(FaultKind::limit, {}, "a whole number does not fit into 64 bits"); }

bool Run::step(std::uint64_t count) {
  if (fault_) return false;
  steps_ += count;
  if (steps_ <= limits.steps && count <= limits.steps) return true;
  fail(FaultKind::limit, {}, fmt::format("the template takes more than {} steps", limits.steps));
  return false;
}

bool Run::text_fits(std::size_t bytes) {
  if (fault_) return false;
  if (bytes <= limits.text_bytes) return true;
  fail(FaultKind::limit, {}, fmt::format("a text grows beyond {} bytes", limits.text_bytes));
  return false;
}

void Run::charge(Object& object, std::size_t bytes) {
  object.charge(heap_, bytes);
  if (heap_.used > limits.value_bytes)
    fail(FaultKind::limit, {}, fmt::format("the template's values take more than {} bytes", limits.value_bytes));
}

bool Run::deep(int depth) {
  if (depth <= limits.value_depth) return false;
  fail(FaultKind::limit, {}, fmt::format("values are nested deeper than {} levels", limits.value_depth));
  return true;
}

Value Run::text(std::string bytes, std::vector<Span> content, bool markup) {
  if (!text_fits(bytes.size())) return {};
  auto object = std::make_shared<Text>(std::move(bytes), std::move(content), markup);
  charge(*object, object->footprint());
  look(object->bytes().size());
  return Value(std::move(object));
}

Value Run::sequence(Kind kind, std::vector<Value> items) {
  auto list = make<List>(items.capacity() * sizeof(Value), std::move(items));
  // A list that is too deep is not returned, so nothing deeper can be built from it.
  if (deep(list->depth())) return {};
  return Value(kind, std::move(list));
}

Value Run::dict(std::shared_ptr<Dict> dict) {
  charge(*dict, sizeof(Dict) + dict->size() * (3 * sizeof(Value) + 48));
  if (deep(dict->depth())) return {};
  return Value(Kind::dict, std::move(dict));
}

Value Run::iterator(std::shared_ptr<Iterator> iterator, const Value& source) {
  iterator->depth = 1 + depth_of(source);
  charge(*iterator, 128);
  if (deep(iterator->depth)) return {};
  return Value(Kind::iterator, std::move(iterator));
}

Value Run::undefined(std::string message, bool unsafe) {
  const std::size_t bytes = message.size();
  return Value(Kind::undefined, make<Undefined>(bytes, std::move(message), unsafe));
}

void Run::keep(std::shared_ptr<Clearable> object) { kept_.push_back(std::move(object)); }

void TextBuilder::mark(std::size_t begin, std::size_t end) {
  if (begin == end) return;
  if (!content_.empty() && content_.back().end == begin)
    content_.back().end = static_cast<std::uint32_t>(end);
  else
    content_.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
}

void TextBuilder::add(std::string_view bytes, bool from_content) {
  if (!run_.text_fits(bytes_.size() + bytes.size())) return;
  if (from_content) mark(bytes_.size(), bytes_.size() + bytes.size());
  bytes_ += bytes;
}

void TextBuilder::add(const Text& text, std::size_t begin, std::size_t end) {
  if (begin >= end || !run_.text_fits(bytes_.size() + (end - begin))) return;
  const auto& spans = text.content();
  auto span = std::partition_point(spans.begin(), spans.end(), [&](const Span& s) { return s.end <= begin; });
  for (; span != spans.end() && span->begin < end; ++span) {
    const std::size_t from = std::max<std::size_t>(span->begin, begin), to = std::min<std::size_t>(span->end, end);
    mark(bytes_.size() + (from - begin), bytes_.size() + (to - begin));
  }
  bytes_ += text.bytes().substr(begin, end - begin);
}

void TextBuilder::repeat(std::string_view bytes, std::int64_t count) {
  if (count <= 0 || bytes.empty()) return;
  if (static_cast<std::uint64_t>(count) > run_.limits.text_bytes / bytes.size() + 1) {
    run_.text_fits(run_.limits.text_bytes + 1);
    return;
  }
  if (!run_.text_fits(bytes_.size() + bytes.size() * static_cast<std::size_t>(count))) return;
  for (; count > 0; --count) bytes_ += bytes;
}

bool TextBuilder::all_text() {
  if (!wrong_.empty()) run_.type_error("sequence item: expected str instance, {} found", wrong_);
  return wrong_.empty();
}

Value TextBuilder::finish(bool markup) {
  if (!all_text()) return {};
  return run_.text(std::move(bytes_), std::move(content_), markup);
}

}  // namespace moe::inline MOE_ABI::chat

#include "chat/item_path.hpp"

#include "chat/characters.hpp"
#include "chat/number.hpp"
#include "chat/operators.hpp"

namespace moe::inline MOE_ABI::chat {

ItemPath::ItemPath(Run& run, const Value& attribute) {
  if (attribute.is_none() || attribute.is_missing()) return;
  if (!attribute.is_text()) {
    parts_ = {attribute};
    return;
  }
  const Text& text = attribute.text();
  const std::string_view bytes = text.bytes();
  for (std::size_t at = 0; run.step();) {
    const std::size_t dot = std::min(bytes.find('.', at), bytes.size());
    const std::string_view part = bytes.substr(at, dot - at);
    bool too_big = false;
    const bool digits = !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    const auto index = digits ? read_int(part, 10, &too_big) : std::nullopt;
    if (too_big) run.overflow();
    parts_.push_back(index ? Value(*index) : run.text(std::string(part)));
    if (dot == bytes.size()) break;
    at = dot + 1;
  }
}

Value ItemPath::follow(Run& run, Value item, const Value& absent) const {
  for (const Value& part : parts_) {
    if (!run.step()) return {};
    item = get_item(run, item, part);
    if (item.is_undefined() && !absent.is_none()) item = absent;
  }
  return item;
}

Value ignore_case(Run& run, const Value& value) { return value.is_text() ? lower(run, value.text()) : value; }

ItemPaths::ItemPaths(Run& run, const Value& attribute, bool case_sensitive) : case_sensitive_(case_sensitive) {
  if (!attribute.is_text()) {
    paths_.emplace_back(run, attribute);
    return;
  }
  const std::string_view bytes = attribute.text().bytes();
  for (std::size_t at = 0; run.step();) {
    const std::size_t comma = std::min(bytes.find(',', at), bytes.size());
    paths_.emplace_back(run, run.text(std::string(bytes.substr(at, comma - at))));
    if (comma == bytes.size()) break;
    at = comma + 1;
  }
}

Value ItemPaths::key(Run& run, const Value& item) const {
  std::vector<Value> parts;
  for (const ItemPath& path : paths_) {
    Value part = path.follow(run, item);
    parts.push_back(case_sensitive_ ? part : ignore_case(run, part));
  }
  return run.list(std::move(parts));
}

}  // namespace moe::inline MOE_ABI::chat

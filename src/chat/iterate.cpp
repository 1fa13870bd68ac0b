#include "chat/iterate.hpp"

#include "chat/characters.hpp"
#include "chat/loop.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

std::shared_ptr<Iterator> over_items(const Value& list, bool backwards) {
  std::string_view type = list.is(Kind::list) ? "list_iterator" : "tuple_iterator";
  if (backwards) type = list.is(Kind::list) ? "list_reverseiterator" : "reversed";
  return generate(type, [list, backwards, i = std::size_t{0}](Run&, Value& item) mutable {
    const auto& items = list.items();
    if (i >= items.size()) return false;
    item = items[backwards ? items.size() - 1 - i : i];
    ++i;
    return true;
  });
}

std::shared_ptr<Iterator> over_text(const Value& value, bool backwards) {
  const std::size_t first = backwards ? value.text().bytes().size() : 0;
  return generate("str_iterator", [value, backwards, at = first](Run& run, Value& item) mutable {
    const Text& text = value.text();
    std::size_t begin = at, end = at;
    if (backwards) {
      if (at == 0) return false;
      character_before(text.bytes(), at, &begin);
      at = begin;
    } else {
      if (at >= text.bytes().size()) return false;
      end = at + decode_utf8(text.bytes().data() + at).bytes;
      at = end;
    }
    TextBuilder out(run);
    out.add(text, begin, end);
    item = out.finish();
    return run.ok();
  });
}

std::shared_ptr<Iterator> over_dict(const std::shared_ptr<Dict>& dict, ViewOf of, bool backwards) {
  static constexpr std::string_view kTypes[] = {"dict_keyiterator",          "dict_valueiterator",
                                                "dict_itemiterator",         "dict_reversekeyiterator",
                                                "dict_reversevalueiterator", "dict_reverseitemiterator"};
  return generate(kTypes[static_cast<int>(of) + (backwards ? 3 : 0)],
                  [dict, of, backwards, i = std::size_t{0}](Run& run, Value& item) mutable {
                    const auto& entries = dict->entries();
                    if (i >= entries.size()) return false;
                    const auto& [key, value] = entries[backwards ? entries.size() - 1 - i : i];
                    ++i;
                    if (of == ViewOf::items)
                      item = run.tuple({key, value});
                    else
                      item = of == ViewOf::keys ? key : value;
                    return run.ok();
                  });
}

std::shared_ptr<Iterator> over_range(const Range& range, bool backwards) {
  return generate("range_iterator", [range = std::make_shared<Range>(range.start, range.stop, range.step), backwards,
                                     i = std::int64_t{0}](Run&, Value& item) mutable {
    if (i >= range->length) return false;
    item = range->at(backwards ? range->length - 1 - i : i);
    ++i;
    return true;
  });
}

std::shared_ptr<Iterator> over_nothing() {
  return generate("generator", [](Run&, Value&) { return false; });
}

// Iterating over `loop` itself advances the loop and gives (item, loop).
std::shared_ptr<Iterator> over_loop(const Value& loop) {
  return generate("LoopContext", [loop](Run& run, Value& item) {
    Value next;
    if (!loop.as<Loop>().next(run, next)) return false;
    item = run.tuple({next, loop});
    return run.ok();
  });
}

}  // namespace

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::undefined:
    case Kind::text:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::range:
    case Kind::view:
    case Kind::loop:
    case Kind::iterator: return true;
    default: return false;
  }
}

std::shared_ptr<Iterator> iterate(Run& run, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return over_nothing();
    case Kind::text: return over_text(value, false);
    case Kind::list:
    case Kind::tuple: return over_items(value, false);
    case Kind::dict: return over_dict(value.share<Dict>(), ViewOf::keys, false);
    case Kind::view: return over_dict(value.as<View>().dict, value.as<View>().of, false);
    case Kind::range: return over_range(value.as<Range>(), false);
    case Kind::iterator: return value.share<Iterator>();
    case Kind::loop: return over_loop(value);
    default: run.type_error("'{}' object is not iterable", type_name(value)); return nullptr;
  }
}

std::shared_ptr<Iterator> reverse_iterate(Run&, const Value& value) {
  switch (value.kind()) {
    case Kind::undefined: return over_nothing();
    case Kind::text: return over_text(value, true);
    case Kind::list:
    case Kind::tuple: return over_items(value, true);
    case Kind::dict: return over_dict(value.share<Dict>(), ViewOf::keys, true);
    case Kind::view: return over_dict(value.as<View>().dict, value.as<View>().of, true);
    case Kind::range: return over_range(value.as<Range>(), true);
    default: return nullptr;
  }
}

std::vector<Value> to_vector(Run& run, const Value& value) {
  if (value.is_sequence()) {
    if (!run.step(value.items().size())) return {};
    return value.items();
  }
  std::vector<Value> out;
  const auto walk = iterate(run, value);
  if (walk == nullptr) return out;
  for (Value item; run.ok() && walk->next(run, item);) out.push_back(item);
  return out;
}

}  // namespace moe::inline MOE_ABI::chat

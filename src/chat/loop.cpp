#include "chat/loop.hpp"

#include "chat/arguments.hpp"
#include "chat/attributes.hpp"

namespace moe::inline MOE_ABI::chat {
namespace {

bool pull(Run& run, Loop& loop, Value& item) {
  if (!loop.counted) return loop.source->next(run, item);
  if (loop.rest_next >= loop.rest.size()) return false;
  item = loop.rest[loop.rest_next++];
  return true;
}

// Fetches one item ahead, which may exhaust an iterator earlier than the loop itself would.
const Value& peek(Run& run, Loop& loop) {
  if (!loop.after.is_missing()) return loop.after;
  Value item;
  if (pull(run, loop, item)) loop.after = item;
  return loop.after;
}

std::int64_t count(Run& run, Loop& loop) {
  if (loop.length >= 0) return loop.length;
  loop.length = length_of(loop.iterable);
  if (loop.length >= 0) return loop.length;
  for (Value item; run.ok() && loop.source->next(run, item);) loop.rest.push_back(item);
  loop.counted = true;
  loop.length = static_cast<std::int64_t>(loop.rest.size()) + loop.index0 + 1 + (loop.after.is_missing() ? 0 : 1);
  return loop.length;
}

Value cycle(Run& run, const Value& self, const Args& args) {
  if (args.positional.empty()) return run.type_error("no items for cycling given");
  if (!args.named.empty()) return run.type_error("LoopContext.cycle() got an unexpected keyword argument");
  const auto at = static_cast<std::size_t>(self.as<Loop>().index0) % args.positional.size();
  return args.positional[at];
}

Value changed(Run& run, const Value& self, const Args& args) {
  if (!args.named.empty()) return run.type_error("LoopContext.changed() got an unexpected keyword argument");
  auto& loop = self.as<Loop>();
  const Value now = run.tuple(args.positional);
  if (!run.ok() || !run.walk(now)) return {};
  if (loop.changed_last.is(Kind::tuple) && equal(loop.changed_last, now)) return false;
  loop.changed_last = now;
  return true;
}

}  // namespace

bool Loop::next(Run& run, Value& item) {
  if (!after.is_missing()) {
    item = after;
    after = Value::missing();
  } else if (!pull(run, *this, item)) {
    return false;
  }
  ++index0;
  before = current;
  current = item;
  return true;
}

void Loop::clear() {
  source = nullptr;
  iterable = after = current = before = changed_last = recurse = Value();
  rest.clear();
}

Value loop_attribute(Run& run, const Value& value, std::string_view name) {
  auto& loop = value.as<Loop>();
  if (name == "index") return loop.index0 + 1;
  if (name == "index0") return loop.index0;
  if (name == "first") return loop.index0 == 0;
  if (name == "last") return peek(run, loop).is_missing();
  if (name == "length") return count(run, loop);
  if (name == "revindex") return count(run, loop) - loop.index0;
  if (name == "revindex0") return count(run, loop) - loop.index0 - 1;
  if (name == "depth") return loop.depth0 + 1;
  if (name == "depth0") return loop.depth0;
  if (name == "previtem") return loop.index0 == 0 ? run.undefined("there is no previous item") : loop.before;
  if (name == "nextitem") {
    const Value& next = peek(run, loop);
    return next.is_missing() ? run.undefined("there is no next item") : next;
  }
  if (name == "cycle") return bind_method(run, "cycle", cycle, value);
  if (name == "changed") return bind_method(run, "changed", changed, value);
  return Value::missing();
}

std::string loop_repr(Run& run, const Value& value) {
  auto& loop = value.as<Loop>();
  const std::int64_t length = count(run, loop);
  return fmt::format("<LoopContext {}/{}>", loop.index0 + 1, length);
}

}  // namespace moe::inline MOE_ABI::chat

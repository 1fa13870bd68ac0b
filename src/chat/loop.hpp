#pragma once
// The variable `loop`.

#include "chat/iterate.hpp"

namespace moe::inline MOE_ABI::chat {

class Loop : public Clearable {
 public:
  std::shared_ptr<Iterator> source;
  Value iterable;                  ///< for length
  Value after = Value::missing();  ///< an item that was fetched early
  Value current = Value::missing();
  Value before = Value::missing();
  Value changed_last = Value::missing();
  std::vector<Value> rest;  ///< the remaining items, once the length had to be counted
  std::size_t rest_next = 0;
  bool counted = false;
  std::int64_t index0 = -1;
  std::int64_t length = -1;
  std::int64_t depth0 = 0;
  Value recurse;  ///< calls the loop again; None without `recursive`

  bool next(Run& run, Value& item);
  void clear() override;
};

/// loop.name; missing where there is none.
Value loop_attribute(Run& run, const Value& loop, std::string_view name);
std::string loop_repr(Run& run, const Value& loop);

}  // namespace moe::inline MOE_ABI::chat

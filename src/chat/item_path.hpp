#pragma once
// "a.b.0": the attribute= of filters, a path into each item.

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

class ItemPath {
 public:
  /// A text is split at dots, digits are indices; None is the item itself.
  ItemPath(Run& run, const Value& attribute);
  /// `absent` replaces undefined values on the way, unless it is None.
  Value follow(Run& run, Value item, const Value& absent = {}) const;

 private:
  std::vector<Value> parts_;
};

/// Several paths between commas: the keys of sort.
class ItemPaths {
 public:
  ItemPaths(Run& run, const Value& attribute, bool case_sensitive);
  Value key(Run& run, const Value& item) const;

 private:
  std::vector<ItemPath> paths_;
  bool case_sensitive_;
};

/// A text in lower case, everything else as it is.
Value ignore_case(Run& run, const Value& value);

}  // namespace moe::inline MOE_ABI::chat

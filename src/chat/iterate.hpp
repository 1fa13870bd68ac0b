#pragma once
// Iteration over values.

#include <memory>
#include <vector>

#include "chat/run.hpp"

namespace moe::inline MOE_ABI::chat {

bool is_iterable(const Value& value);
/// iter(value); null, with a TypeError, for values that are not iterable.
std::shared_ptr<Iterator> iterate(Run& run, const Value& value);
/// list(value).
std::vector<Value> to_vector(Run& run, const Value& value);
/// reversed(value); null, without a fault, where Python raises TypeError.
std::shared_ptr<Iterator> reverse_iterate(Run& run, const Value& value);

/// An iterator from a function bool(Run&, Value& item) that gives one item per call.
template <class Next>
class Generated : public Iterator {
 public:
  Generated(std::string_view type, Next next) : Iterator(type), next_(std::move(next)) {}
  bool next(Run& run, Value& item) override { return run.step() && next_(run, item); }

 private:
  Next next_;
};
template <class Next>
std::shared_ptr<Iterator> generate(std::string_view type, Next next) {
  return std::make_shared<Generated<Next>>(type, std::move(next));
}

}  // namespace moe::inline MOE_ABI::chat

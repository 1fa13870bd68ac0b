#pragma once
// Names from outside the template: the caller's variables, globals, and the template's variables visible in blocks.

#include <map>
#include <string>
#include <string_view>

#include "chat/globals.hpp"

namespace moe::inline MOE_ABI::chat {

using Variables = std::map<std::string, Value, std::less<>>;

class Context {
 public:
  explicit Context(const Variables& passed) : passed_(&passed) {}
  explicit Context(Context& outer) : outer_(&outer) {}

  void set(const std::string& name, Value value) { own_[name] = std::move(value); }
  /// Missing where there is none.
  Value find(Run& run, const std::string& name) {
    if (const auto found = own_.find(name); found != own_.end()) return found->second;
    if (outer_ != nullptr) return outer_->find(run, name);
    if (const auto found = passed_->find(name); found != passed_->end()) return found->second;
    const Value global = find_global(run, name);
    if (!global.is_missing()) own_[name] = global;  // one object, also for the test sameas
    return global;
  }

 private:
  Variables own_;
  const Variables* passed_ = nullptr;
  Context* outer_ = nullptr;
};

}  // namespace moe::inline MOE_ABI::chat

#pragma once
// Binding the arguments of a call to parameters, with Python's errors.

#include <array>
#include <initializer_list>

#include "chat/operators.hpp"
#include "chat/repr.hpp"

namespace moe::inline MOE_ABI::chat {

enum class Naming : std::uint8_t { allowed, positional_only };

/// False, with a TypeError, when the arguments do not fit. Parameters without an argument stay missing.
bool bind_arguments(Run& run, const Args& args, std::string_view function, const std::string_view* names, Value* values,
                    std::size_t count, std::size_t required, Naming naming);

/// `const Bound<3> a(run, args, "replace", {"old", "new", "count"}, 2); if (!a) return {};`
template <std::size_t N>
class Bound {
 public:
  Bound(Run& run, const Args& args, std::string_view function, const std::array<std::string_view, N>& names,
        std::size_t required = 0, Naming naming = Naming::allowed)
      : run_(run) {
    values_.fill(Value::missing());
    fits_ = bind_arguments(run, args, function, names.data(), values_.data(), N, required, naming);
  }
  explicit operator bool() const { return fits_; }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  bool has(std::size_t i) const { return !values_[i].is_missing(); }
  Value value_or(std::size_t i, Value absent) const { return has(i) ? values_[i] : absent; }
  bool truth(std::size_t i, bool absent = false) const { return has(i) ? truthy(values_[i]) : absent; }
  /// Whole numbers; `absent` also after a fault.
  std::int64_t index(std::size_t i, std::int64_t absent) const {
    return has(i) ? as_index(run_, values_[i]).value_or(absent) : absent;
  }
  /// A required text; null, with a TypeError, for other types.
  TextPtr text(std::size_t i) const {
    if (values_[i].is_text()) return values_[i].text_ptr();
    run_.type_error("must be str, not {}", type_name(values_[i]));
    return nullptr;
  }

 private:
  Run& run_;
  std::array<Value, N> values_;
  bool fits_ = false;
};

}  // namespace moe::inline MOE_ABI::chat

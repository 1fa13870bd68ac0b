#pragma once
// Errors are values: whatever can fail because of outside data returns Result<T>.

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#ifdef __FAST_MATH__
#error "libmoe cannot be compiled with -ffast-math: routing masks with minus infinity and the bits are a contract"
#endif

// One program may link code compiled with and without exceptions; the inline namespace keeps the symbols apart.
#ifdef MOE_NO_EXCEPTIONS
#define MOE_ABI v0_noexcept
#else
#define MOE_ABI v0
#endif

// Symbols that moe::moe exports from a shared library (the rest is hidden).
#define MOE_API __attribute__((visibility("default")))
#define MOE_FORCE_INLINE inline __attribute__((always_inline))

#if defined(MOE_ENABLE_ASSERTS) || !defined(NDEBUG)
// For preconditions inside libmoe: a failure is a bug in libmoe, never caused by outside data.
#define MOE_ASSERT(condition)         \
  ((condition) ? static_cast<void>(0) \
               : (std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition), std::abort()))
#else
#define MOE_ASSERT(condition) static_cast<void>(0)
#endif

namespace moe::inline MOE_ABI {

enum class ErrorCode {
  bad_file,       ///< a model, tokenizer, task or question file breaks its format
  bad_config,     ///< hyperparameters that contradict each other or are out of range
  bad_shape,      ///< a tensor or buffer whose shape is not the declared one
  bad_argument,   ///< a caller's value (token id, sequence, length) is outside its range
  unsupported,    ///< well-formed, but libmoe does not know it (architecture, format, tokenizer)
  not_found,      ///< a file, tensor or key that must exist does not
  io,             ///< the operating system refused or a file ended early
  out_of_memory,  ///< an allocation failed or the given budget is too small
  cancelled,      ///< the host asked to stop
  non_finite,     ///< NaN or infinity where a number belongs
  internal,       ///< a bug in libmoe
};
/// The enumerator's name. Every public enum has a name_of; it is empty for a value outside the enum.
constexpr std::string_view name_of(ErrorCode value) noexcept {
  switch (value) {
    case ErrorCode::bad_file: return "bad_file";
    case ErrorCode::bad_config: return "bad_config";
    case ErrorCode::bad_shape: return "bad_shape";
    case ErrorCode::bad_argument: return "bad_argument";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::not_found: return "not_found";
    case ErrorCode::io: return "io";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::non_finite: return "non_finite";
    case ErrorCode::internal: return "internal";
  }
  return "";
}

/// What went wrong, in one line that names the item, what was found and what was expected.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message = {};
};

/// A value or an Error. value() on an error throws tl::bad_expected_access, or asserts where exceptions are off.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using Base = tl::expected<T, Error>;
  using Base::Base;

  template <class U = T>
  auto value() & -> std::add_lvalue_reference_t<U> {
    check();
    return Base::operator*();
  }
  template <class U = T>
  auto value() const& -> std::add_lvalue_reference_t<const U> {
    check();
    return Base::operator*();
  }
  template <class U = T>
  auto value() && -> std::enable_if_t<!std::is_void_v<U>, U> {
    check();
    return std::move(Base::operator*());
  }

 private:
  void check() const {
    if (this->has_value()) return;
#if defined(MOE_NO_EXCEPTIONS) || !defined(__cpp_exceptions)
    std::fprintf(stderr, "moe::Result: value() of an error: %s\n", this->error().message.c_str());
    std::abort();
#else
    throw tl::bad_expected_access<Error>(this->error());
#endif
  }
};

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}
/// Passes an error on unchanged: `if (!r) return forward(r);`
template <class T>
[[nodiscard]] tl::unexpected<Error> forward(const Result<T>& failed) {
  return tl::unexpected<Error>(failed.error());
}

}  // namespace moe::inline MOE_ABI

#pragma once
// Round to nearest even, subnormals kept: our arithmetic uses this mode whatever the host's thread has set.

#include <cstdint>

#include "moe/error.hpp"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace moe::inline MOE_ABI {

/// Sets MXCSR (x86) or FPCR (aarch64) to the default and restores the thread's own value at the end of the scope.
class FloatEnvironment {
 public:
#if defined(__x86_64__)
  FloatEnvironment() : saved_(_mm_getcsr()) {
    // All exceptions masked, no flags, nearest even, FTZ and DAZ off.
    if (saved_ != 0x1F80u) _mm_setcsr(0x1F80u);
  }
  ~FloatEnvironment() {
    // Discards flags raised by our code.
    _mm_setcsr(saved_);
  }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  FloatEnvironment() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    const std::uint64_t plain = 0;
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
  }
  ~FloatEnvironment() { __asm__ volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  std::uint64_t saved_;
#else
#error "libmoe's numerics contract covers x86-64 and aarch64"
#endif

 public:
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;
};

}  // namespace moe::inline MOE_ABI

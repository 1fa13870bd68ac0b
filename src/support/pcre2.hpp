#pragma once
// PCRE2's objects with owners, and the limits of patterns from outside.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "moe/error.hpp"

namespace moe::inline MOE_ABI::pcre2 {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Code = std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>>;

constexpr std::size_t kMaxPatternBytes = 1 << 16;

/// For patterns from outside: lines end in LF, groups nest 100 deep at most. Null: no memory.
inline CompileContext make_compile_context() {
  CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context) return context;
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  return context;
}

/// At most `steps` of one search, and bounded memory. Null: no memory.
inline MatchContext make_match_context(std::uint32_t steps) {
  MatchContext context(pcre2_match_context_create(nullptr));
  if (!context) return context;
  pcre2_set_match_limit(context.get(), steps);
  pcre2_set_depth_limit(context.get(), 100'000);
  pcre2_set_heap_limit(context.get(), 64 * 1024);  // KiB
  return context;
}

inline std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 200> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace moe::inline MOE_ABI::pcre2

#pragma once
// Session settings from Python.

#include <cstdint>
#include <string>

#include "errors.hpp"
#include "moe/session.hpp"

namespace moe_python {

struct SessionSettings {
  std::string precision = "auto";
  std::string kv = "f16";
  std::int64_t cache_tokens = 0;
  std::int64_t state_bytes = 0;
  std::int64_t checkpoint_tokens = moe::SessionOptions().checkpoint_tokens;
};

/// Errors: bad_argument.
inline moe::SessionOptions session_options(const SessionSettings& settings) {
  moe::SessionOptions options;
  options.precision = enum_of("precision", settings.precision, {moe::Precision::automatic, moe::Precision::reference});
  options.kv = enum_of("kv", settings.kv, moe::kKvTypes);
  if (settings.cache_tokens < 0)
    raise(moe::ErrorCode::bad_argument,
          "cache_tokens is " + std::to_string(settings.cache_tokens) + ", expected at least 0");
  if (settings.state_bytes < 0)
    raise(moe::ErrorCode::bad_argument,
          "state_bytes is " + std::to_string(settings.state_bytes) + ", expected at least 0");
  if (settings.checkpoint_tokens < 1)
    raise(moe::ErrorCode::bad_argument,
          "checkpoint_tokens is " + std::to_string(settings.checkpoint_tokens) + ", expected at least 1");
  options.max_tokens = settings.cache_tokens;
  options.state_bytes = settings.state_bytes;
  options.checkpoint_tokens = settings.checkpoint_tokens;
  return options;
}

}  // namespace moe_python

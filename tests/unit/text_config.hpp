#pragma once
// What libmoe makes of a config.json that a test writes.

#include <nlohmann/json.hpp>

#include <string>

#include "arch/family.hpp"
#include "support.hpp"

namespace moe_test {

inline moe::ModelConfig config_of(const nlohmann::json& text) {
  const auto read = moe::arch::recognise_hf_config(text.dump());
  if (!read) FAIL(read.error().message);
  CHECK(read->unread_keys.empty());
  return read->config;
}

/// Empty: it is accepted.
inline std::string refusal_of(const nlohmann::json& text) {
  const auto read = moe::arch::recognise_hf_config(text.dump());
  return read ? "" : read.error().message;
}

}  // namespace moe_test

#pragma once
// The type of the key/value cache.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "moe/session.hpp"

namespace cli {

/// --kv, the same in every program.
inline CLI::Option* add_kv(CLI::App& app, std::string& name) {
  std::vector<std::string> names;
  for (const moe::KvType type : moe::kKvTypes) names.emplace_back(name_of(type));
  return app
      .add_option("--kv", name,
                  "type of the key/value cache: f32, f16, bf16, q8_0 (f16; f32 with --precision reference)")
      ->check(CLI::IsMember(names));
}

/// The type of that name; without one float32 for the reference, whose figures were computed with it, and else float16,
/// which halves what decoding reads.
inline moe::KvType kv_of(const std::string& name, moe::Precision precision) {
  const moe::KvType usual = precision == moe::Precision::reference ? moe::KvType::f32 : moe::KvType::f16;
  return moe::kv_type_named(name).value_or(usual);
}

}  // namespace cli

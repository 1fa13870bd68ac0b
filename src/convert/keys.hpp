#pragma once
// Keys of a GGUF file that stand under the architecture's name.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/gguf_writer.hpp"
#include "moe/config.hpp"

namespace moe::inline MOE_ABI::convert {

/// Keys of one architecture, with its prefix.
class Keys {
 public:
  Keys(checkpoint::GgufMetadata& out, std::string_view architecture)
      : out_(out), prefix_(std::string(architecture) + ".") {}
  /// validate() keeps every count far below 2^32.
  void count(std::string_view key, std::int64_t value) { out_.u32(named(key), static_cast<std::uint32_t>(value)); }
  void number(std::string_view key, double value) { out_.f32(named(key), static_cast<float>(value)); }
  void boolean(std::string_view key, bool value) { out_.boolean(named(key), value); }
  void booleans(std::string_view key, const std::vector<bool>& values) { out_.booleans(named(key), values); }
  void integers(std::string_view key, const std::vector<std::int32_t>& values) { out_.integers(named(key), values); }
  void text(std::string_view key, std::string_view value) { out_.text(named(key), value); }

 private:
  std::string named(std::string_view key) const { return prefix_ + std::string(key); }

  checkpoint::GgufMetadata& out_;
  std::string prefix_;
};

/// of(layer) of every layer.
template <class Of>
std::vector<std::int32_t> per_layer(const ModelConfig& c, Of&& of) {
  std::vector<std::int32_t> list;
  for (std::int64_t l = 0; l < c.layer_count; ++l) list.push_back(static_cast<std::int32_t>(of(l)));
  return list;
}

/// Sizes of recurrent states, and which layers have them (recurrent_keys.cpp).
void write_recurrent(const checkpoint::Checkpoint& file, const ModelConfig& c, Keys& keys);
/// Errors: unsupported, naming a layer of a kind that is not written.
Result<void> check_recurrent_layers(const ModelConfig& c);

}  // namespace moe::inline MOE_ABI::convert
